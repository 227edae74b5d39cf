// Package filestream is the content that the node hands out: a file is a seed
// and a size, and its bytes are a pseudorandom stream that both sides can make
// for themselves (PROTOCOL.md, section 3), so that the node stores none of it.
//
// It is not a source of secrets: whoever knows the seed knows the content.
// The invariant: byte i of a seed's stream is always the same, whatever the
// size of the file, the order of reads, and the size of the reads.
package filestream
