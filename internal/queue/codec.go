package queue

import (
	"encoding/binary"
	"fmt"
	"time"
)

// The binary forms begin with a byte for their version; numbers are
// big-endian and of fixed width, times are microseconds since 1970, and what
// has no fixed length is preceded by its length as u32. A value has exactly
// one form: parsing and writing again gives the same bytes.

// parser takes the fields from bytes that another process, perhaps of another
// version, has written. The first field that is not there fails it; from then
// on it gives zeroes.
type parser struct {
	rest []byte
	err  error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: "+format, append([]any{errMalformed}, args...)...)
	}
	p.rest = nil
}

// bytes takes n bytes; they are part of what is parsed, not a copy.
func (p *parser) bytes(n int) []byte {
	if p.err != nil {
		return nil
	}
	if n > len(p.rest) {
		p.fail("%d bytes missing", n-len(p.rest))
		return nil
	}
	taken := p.rest[:n:n]
	p.rest = p.rest[n:]
	return taken
}

func (p *parser) version(want byte) {
	if b := p.bytes(1); b != nil && b[0] != want {
		p.fail("version %d, not %d", b[0], want)
	}
}

func (p *parser) id() (id ID) {
	copy(id[:], p.bytes(len(id)))
	return id
}

func (p *parser) boolean() bool {
	b := p.bytes(1)
	if b != nil && b[0] > 1 {
		p.fail("boolean %d", b[0])
	}
	return p.err == nil && b[0] == 1
}

func (p *parser) int64() int64 {
	b := p.bytes(8)
	if b == nil {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}

func (p *parser) time() time.Time { return time.UnixMicro(p.int64()).UTC() }

// count takes the number of the items that follow. Each has at least size
// bytes, so no more is promised than what is there can hold.
func (p *parser) count(size int) int {
	b := p.bytes(4)
	if b == nil {
		return 0
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n)*uint64(size) > uint64(len(p.rest)) {
		p.fail("%d items of %d bytes in %d", n, size, len(p.rest))
		return 0
	}
	return int(n)
}

func (p *parser) blob() []byte { return p.bytes(p.count(1)) }

// end says whether everything was there, and nothing more.
func (p *parser) end() error {
	if p.err == nil && len(p.rest) > 0 {
		p.fail("%d bytes too many", len(p.rest))
	}
	return p.err
}

func appendInt64(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }

func appendTime(b []byte, t time.Time) []byte { return appendInt64(b, t.UnixMicro()) }

func appendCount(b []byte, n int) []byte { return binary.BigEndian.AppendUint32(b, uint32(n)) }

func appendBlob(b, blob []byte) []byte { return append(appendCount(b, len(blob)), blob...) }

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}
