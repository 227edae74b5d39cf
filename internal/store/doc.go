// Package store keeps a node's records in MySQL, MariaDB or SQLite: addresses,
// tokens, the inventory, contracts and what became of them. It is the truth;
// whatever else the node remembers, it can lose.
//
// Every exported method is one step of the node and owns its transaction;
// unexported functions that take a *gorm.DB run inside one. The rules are
// those of package node, applied here to what the rows say then; the store adds
// none of its own. It does not verify proofs, draw random numbers for tokens, or read
// the clock: now is passed in.
//
// The invariant: the counts on a token (contracts, size) are those of its live
// rows in contracts, after every committed transaction.
//
// # Locks
//
// A transaction locks rows in one order, by id within each: settings,
// addresses, ips, tokens, contracts, spans. Whatever changes a contract has its token
// locked. Chunks that somebody else has locked are passed over. Should two transactions still wait for each other, or for
// too long, the one that the database ends is run again from its start, a
// bounded number of times; so a function that is handed to a method and called
// within its transaction may be called more than once.
//
// Verdicts are judged on the copies of contracts that they come with, and written
// on the condition that each row is of its copy's version, and live: then it is
// what the copy says, for whatever changes a row counts its version up, but for
// the sweeper, who takes its live away. The database says how many rows it found
// so. Where one is missing, all is undone, the rows are read and locked, and the
// verdicts judged on them. So a copy that is behind costs time and decides
// nothing.
//
// Transactions run at READ COMMITTED: they lock what they found, not the gaps
// around it, and what they read after a lock is what the holder before left.
//
// # The record
//
// How the node and each farmer did over time is recorded by the transactions
// in which it happens: what is committed is recorded, once, whoever dies when,
// and a token that is deleted takes nothing along. The other way, to take
// differences of the tokens' counts now and then, puts what happens around a
// look, or while nobody looks, into the wrong span, and costs a scan.
//
// Each transaction that changes tokens adds its sums to the rows of the minutes
// in which an answer was received, a contract handed out or over. There are
// several such rows a minute, of which it takes any, so that transactions do
// not queue at one. The rows hold changes, also of the number of farmers,
// contracts and bytes: adding knows no order, so what is late finds its place,
// and minutes move to hours without anything being lost or counted twice.
//
// A farmer's day is written when the first thing of a later day happens to it:
// its counts are then what that day came to. So it costs the transactions of
// one farmer one row a day, and the days of those who are gone nothing.
//
// # Times
//
// Tables hold times as microseconds since the Unix epoch, UTC, and 0 for the
// zero time: portable between the databases, free of time zones, and good for
// arithmetic in SQL. Times are cut to microseconds on the way in.
//
// # Errors
//
// ErrUnavailable says that the database could not do it now, or that nobody
// knows whether it did: the caller answers "try again". The other errors named
// in this package are answers. Anything else is a defect.
package store
