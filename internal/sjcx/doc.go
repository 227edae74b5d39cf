// Package sjcx is what the node needs to know of the coin SJCX: whether a text
// is an address, whether a message was signed with the key of an address, and
// which addresses a whitelist names. Formats are those of PROTOCOL.md, section
// 6, which are Bitcoin's.
//
// It is no wallet: it knows no balances but those that a whitelist states, and
// speaks to no network. Signing is here for the farmer and for tests.
//
// The invariant: an address has one spelling. Two different texts that are
// both valid are two different addresses, so that limits for each address
// cannot be passed by writing it in another way.
package sjcx
