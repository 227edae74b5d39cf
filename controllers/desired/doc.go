// Package desired builds the objects that a DownstreamNode asks for. Every
// builder is a pure function of a [Node]: it reads no cluster and no clock, and
// the YAML of what it builds is under testdata.
//
// Objects are apply configurations, which hold what the operator has an opinion
// about and nothing else; whatever others set on the same object stays.
//
// The invariant: selectors and names do not depend on anything that can be
// edited, so an upgrade never orphans a pod. What pods read is hashed into
// their template, so they are replaced when that has changed and only then.
package desired
