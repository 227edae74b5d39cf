// Package store keeps a node's records in MySQL, MariaDB or SQLite: addresses,
// tokens, the inventory and contracts. It is the source of truth; everything else
// that the node remembers may be lost.
//
// Every exported method is one step of the node and owns its transaction;
// unexported functions that take a *tx run inside one. The rules are those of
// package node. The store does not verify proofs, create tokens or read the
// clock: now is a parameter.
//
// The invariant: after every committed transaction, the counts on a token
// (contracts, size) equal those of its live rows in contracts.
//
// # Locks
//
// A transaction locks rows in this order, and by id within each table: settings,
// addresses, ips, tokens, contracts, spans. To change a contract it must hold the
// lock of its token. It skips chunks that another transaction has locked. If the
// database ends a transaction because of a deadlock or a lock timeout, it is
// repeated, a limited number of times; a function that a method calls within its
// transaction may therefore run more than once.
//
// Transactions run at READ COMMITTED: they lock the rows they find and no gaps,
// and a read after a lock sees what the previous holder committed.
//
// # The record
//
// The transactions in which something happens also record it, so that what is
// committed is recorded once. Each adds its sums to the rows of the minutes in
// which a proof was received or a contract was handed out or expired. A minute
// has several rows, so that transactions do not wait for one another. The rows hold
// changes, also of the number of farmers, contracts and bytes. Additions may come
// in any order: a late one finds its span, and minutes are added up to hours
// without losing or repeating any.
//
// A farmer's day is written when its first event of a later day happens.
//
// # Errors
//
// ErrUnavailable means that the database cannot do it now, or that it is
// unknown whether it did: the caller may retry. The other errors named in this
// package are results. Any other error is a defect.
package store
