// Package heartbeat defines proofs of storage. A node encodes a file once, and
// gives the file and its tag to a farmer. From then on it can challenge the
// farmer and verify the farmer's proofs with a few hundred bytes of state.
//
// This package defines what a scheme is. [merkle] and [swizzle] are the schemes,
// [schemes] finds a scheme by its name, [filestream] generates the files that
// farmers store, and [wirejson] reads untrusted JSON. All of them only compute: they
// use no clock, no network, no storage but the given io.ReaderAt, and no other
// package of this project, so anyone can use them.
//
// Every object has two forms. The node stores the binary form and sends it
// between its parts. The wire form is the JSON that PROTOCOL.md, sections 4 and 5,
// prescribes for farmers. The invariant: a wire form that is parsed and written
// again describes the same object. No input, in either form, makes a scheme panic,
// or allocate more than in proportion to the input's length.
//
// [merkle]: https://pkg.go.dev/github.com/driveshare/downstream-node/heartbeat/merkle
// [swizzle]: https://pkg.go.dev/github.com/driveshare/downstream-node/heartbeat/swizzle
// [schemes]: https://pkg.go.dev/github.com/driveshare/downstream-node/heartbeat/schemes
// [filestream]: https://pkg.go.dev/github.com/driveshare/downstream-node/heartbeat/filestream
// [wirejson]: https://pkg.go.dev/github.com/driveshare/downstream-node/heartbeat/wirejson
package heartbeat
