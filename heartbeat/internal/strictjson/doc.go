// Package strictjson reads JSON that strangers sent, more strictly than
// encoding/json does: member names are matched exactly and not without regard
// to case, null is not a zero value, and a number is not a string. It is lenient
// where farmers differ: the order of members, white space, and members that
// nobody asked for.
//
// [Value] is for a document that can be looked at piece by piece; [Cursor] takes
// the same documents and reads them in one go, for the parsers that are in
// everyone's way.
//
// It knows nothing of proofs; what an object must look like is for the schemes
// to say. The invariant: no input makes it panic, and what it allocates is in
// proportion to the input.
package strictjson
