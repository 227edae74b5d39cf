// Package store keeps a node's records in MySQL, MariaDB or SQLite: SJCX addresses,
// tokens, the inventory and contracts. It is the source of truth; the node may lose
// all other state.
//
// Every exported method is one step of the node and owns its transaction.
// Unexported functions that take a *tx run inside a transaction. The rules are in
// package node. The store does not verify proofs or create the secrets of tokens.
// It does not read the clock: now is a parameter.
//
// The invariant: after every committed transaction, the counts on a token
// (contracts, size) equal those of its live rows in contracts.
//
// # Locks
//
// A transaction locks rows in this order, and by id within each table: settings, ips,
// addresses, tokens, chunks, contracts, contents, spans. These transactions deviate, and can
// end in a deadlock, after which they are repeated:
//
//   - A hand-out without limits on unproven contracts locks ips after tokens, if the token moves to
//     another network.
//   - ApplyFault locks its row in faults before contracts and tokens. The sweeper changes a
//     row in faults after contracts, if contracts end as void.
//   - A contract that is completed changes chunks after contents, and the deletion of a token
//     changes contents before contracts.
//
// A transaction that changes a contract must hold the lock of the contract's token. There are
// three exceptions. ApplyFault moves deadlines and increments versions. ReplaceKey seals a state
// again only if the row's version still equals that of the copy, and increments it. Repair
// deletes contracts without a token or a file, and then corrects the counts.
//
// A hand-out skips chunks that another transaction has locked. Some databases ignore this, see Process.SkipsLocked. So code that uses
// SKIP LOCKED must notice if another transaction has taken the rows. If the database ends a transaction because of a deadlock
// or a lock timeout, the store repeats the transaction a limited number of times. A
// function that a method calls within its transaction may therefore run more than
// once.
//
// Transactions run at READ COMMITTED: they lock the rows that they find, but not
// the gaps between rows. A read after a lock sees what the previous holder of the
// lock committed.
//
// # The record
//
// A transaction also records the events that it commits, so every committed event
// is recorded once. It adds the events to the rows of the minutes in which a proof
// was received, or a contract was handed out or expired. A minute has several rows,
// so that transactions do not wait for each other. The rows hold changes, also of
// the numbers of farmers, contracts and bytes. The order of additions does not
// matter: a late event is added to its own span. Minutes are later added up to
// hours, and no event is lost or counted twice.
//
// The row of a farmer's day is written at the farmer's first event of a later day.
//
// # Errors
//
// ErrUnavailable means that the database cannot do the work now, or that the
// outcome of a commit is unknown. The caller may retry. The other errors named in
// this package are results. Any other error is a defect.
package store
