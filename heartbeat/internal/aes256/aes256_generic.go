package aes256

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
)

func (c *Cipher) keyStreamGeneric(dst []byte, offset uint64) {
	var counter [aes.BlockSize]byte
	binary.BigEndian.PutUint64(counter[8:], offset/aes.BlockSize)
	stream := cipher.NewCTR(c.block, counter[:])
	if skip := offset % aes.BlockSize; skip != 0 {
		var unwanted [aes.BlockSize]byte
		stream.XORKeyStream(unwanted[:skip], unwanted[:skip])
	}
	clear(dst)
	stream.XORKeyStream(dst, dst)
}
