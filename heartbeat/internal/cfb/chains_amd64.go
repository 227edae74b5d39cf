//go:build !purego

package cfb

import (
	"crypto/aes"

	"github.com/driveshare/downstream-node/heartbeat/internal/aes256"
)

// whole makes draws of whole blocks, as many at once as the kernel has lanes.
func (c *Chains) whole(r request) {
	var first *[aes.BlockSize]byte
	if r.draw == 0 {
		first = &c.first
	}
	switch c.cipher.Kernel {
	case aes256.VAES:
		var lanes [16][2]*byte
		for from := 0; from < r.count(); from += len(lanes) {
			r.fill(lanes[:], from)
			drawVAES(&c.cipher.Keys, first, r.size, &lanes)
		}
	case aes256.NI:
		var lanes [8][2]*byte
		for from := 0; from < r.count(); from += len(lanes) {
			r.fill(lanes[:], from)
			drawNI(&c.cipher.Keys, first, r.size, &lanes)
		}
	default:
		c.wholeGeneric(r)
	}
}

// fill points each lane to the output and the digest of a chain, the first to
// those of chain from. Where there are no more chains, the lanes left over
// repeat the last one: a kernel reads all before it writes, and the same
// block written twice is as good as once.
func (r *request) fill(lanes [][2]*byte, from int) {
	if r.which == nil && from+len(lanes) <= len(r.digests) {
		r.fillWithNext(lanes, from)
		return
	}
	last := r.count() - 1
	for i := range lanes {
		dst, digest := r.chain(min(from+i, last))
		lanes[i] = [2]*byte{&dst[0], &digest[0]}
	}
}

// fillWithNext is fill where there are chains enough and all follow on each
// other, the usual case: it takes a tenth off the whole draw.
func (r *request) fillWithNext(lanes [][2]*byte, from int) {
	digests := r.digests[from:][:len(lanes)]
	size := r.size
	dst := r.dst[from*size:][:len(lanes)*size]
	at := 0
	for i := range digests {
		lanes[i] = [2]*byte{&dst[at], &digests[i][0]}
		at += size
	}
}
