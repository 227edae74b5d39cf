// Package heartbeat defines proofs of storage. A node encodes a file once, and
// gives the file and its tag to a farmer. From then on the node needs only a few
// hundred bytes of state to challenge the farmer and to verify the farmer's proofs.
//
// This package defines what a scheme is. [merkle] and [swizzle] are the schemes.
// [schemes] finds a scheme by its name. [filestream] generates the files that
// farmers store. [wirejson] reads untrusted JSON. All of these packages only
// compute. They use no clock and no network, they read storage only through the
// given io.ReaderAt, and they import no other package of this project. So anyone
// can use them.
//
// Every object has two encodings. The node stores the binary form and sends it
// between its processes. The wire form is the JSON that PROTOCOL.md, sections 4 and
// 5, prescribes for farmers. The invariant: if a wire form is parsed and written
// again, the result describes the same object. No input, in either form, can make a
// scheme panic. The memory that a scheme allocates is at most in proportion to the
// length of the input.
//
// [merkle]: https://pkg.go.dev/github.com/driveshare/downstream-node/heartbeat/merkle
// [swizzle]: https://pkg.go.dev/github.com/driveshare/downstream-node/heartbeat/swizzle
// [schemes]: https://pkg.go.dev/github.com/driveshare/downstream-node/heartbeat/schemes
// [filestream]: https://pkg.go.dev/github.com/driveshare/downstream-node/heartbeat/filestream
// [wirejson]: https://pkg.go.dev/github.com/driveshare/downstream-node/heartbeat/wirejson
package heartbeat
