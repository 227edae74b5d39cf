// Package heartbeat is proofs of storage: a node encodes a file once, hands
// the file and its tag to a farmer, and from then on can challenge the farmer
// and verify the proofs with a few hundred bytes of state.
//
// The package says what a scheme is; [merkle] and [swizzle] are the schemes,
// [schemes] finds one by its name, and [filestream] is the content that the
// node hands out. It is pure computing: no clock, no network, no storage
// beyond the io.Reader that it is given, and nothing else of this project, so
// that anyone can use it.
//
// Every object has two forms. The binary form is what the node stores and
// sends between its own parts; the wire form is the JSON that PROTOCOL.md
// prescribes for farmers. The invariant: parsing a wire form and writing it
// again gives the same object, and no bytes from outside, in either form, can
// make a scheme panic or allocate more than in proportion to their length.
//
// [merkle]: https://pkg.go.dev/github.com/driveshare/downstream-node/heartbeat/merkle
// [swizzle]: https://pkg.go.dev/github.com/driveshare/downstream-node/heartbeat/swizzle
// [schemes]: https://pkg.go.dev/github.com/driveshare/downstream-node/heartbeat/schemes
// [filestream]: https://pkg.go.dev/github.com/driveshare/downstream-node/heartbeat/filestream
package heartbeat
