// Package bodyjson reads JSON request bodies as they come in, value by value.
//
// A [Reader] takes what encoding/json takes of an object whose members have
// methods of their own, and gives the same values: names without regard to
// case, the last of several members with a name, escapes and broken UTF-8 in
// strings. It is much faster, and it holds no more of a body than the value
// that is asked for: what is passed over takes no memory.
//
// It knows nothing of what a body should say. The invariant: no byte is looked
// at more than a fixed number of times, so that a body costs in proportion to
// its length, whatever is in it.
package bodyjson
