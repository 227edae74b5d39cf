package merkle

import (
	"encoding/binary"
	"slices"
)

// nodeText is how long a node is on the wire: base64 within quotes, and a comma.
const nodeText = len(`"",`) + (hashSize+2)/3*4

// sextets are the two base64 characters of every 12 bits, the first one in the
// lower byte: half as many looks as characters.
var sextets = func() (pairs [1 << 12]uint16) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range pairs {
		pairs[i] = uint16(alphabet[i>>6]) | uint16(alphabet[i&63])<<8
	}
	return pairs
}()

// appendNodes appends the wire form of nodes, whole ones, each with a comma
// after it. A tag is hundreds of them, and most of what a hand-out writes.
func appendNodes(text, nodes []byte) []byte {
	at, size := len(text), len(nodes)/hashSize*nodeText
	text = slices.Grow(text, size)[:at+size]
	for ; len(nodes) >= hashSize; nodes, at = nodes[hashSize:], at+nodeText {
		putNode((*[nodeText]byte)(text[at:]), (*[hashSize]byte)(nodes))
	}
	return text
}

func putNode(text *[nodeText]byte, node *[hashSize]byte) {
	text[0] = '"'
	binary.LittleEndian.PutUint64(text[1:], eightChars(binary.BigEndian.Uint64(node[0:])))
	binary.LittleEndian.PutUint64(text[9:], eightChars(binary.BigEndian.Uint64(node[6:])))
	binary.LittleEndian.PutUint64(text[17:], eightChars(binary.BigEndian.Uint64(node[12:])))
	binary.LittleEndian.PutUint64(text[25:], eightChars(binary.BigEndian.Uint64(node[18:])))
	binary.LittleEndian.PutUint64(text[33:], eightChars(binary.BigEndian.Uint64(node[24:])))
	last := uint64(node[30])<<56 | uint64(node[31])<<48
	binary.LittleEndian.PutUint32(text[41:], uint32(eightChars(last)))
	text[44], text[45], text[46] = '=', '"', ','
}

// eightChars are the base64 of the upper 6 bytes of b, the first one in the
// lowest byte.
func eightChars(b uint64) uint64 {
	return uint64(sextets[b>>52]) | uint64(sextets[b>>40&0xfff])<<16 |
		uint64(sextets[b>>28&0xfff])<<32 | uint64(sextets[b>>16&0xfff])<<48
}
