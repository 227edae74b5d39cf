// Package roster keeps the farmers in memory, for the status routes and the
// status page: a hundred thousand of them, sorted by any column, in the time
// of a memory access and without asking the database for each reader.
//
// A View is the farmers at one moment: an immutable value that any number of
// readers share. Roster.View gives one that is no older than the configured
// age, and where there is none reads what has changed since the last one: the
// tokens stamped since then, those deleted since then, and what has expired
// but was not swept. That is one consistent state of the database, so that the
// counts in a view are exact as of its Time, expired contracts left out.
//
// A change is missed where its commit took longer than the store allows for,
// and where the database's clock was set back; therefore everything is read
// anew every ten minutes.
//
// Where the database is away, the last view is given for a bounded time more,
// and its Time says how old it is. After that asking fails.
//
// It is not the truth, and no rule of the node may rest on it: whoever needs a
// farmer as it is now asks the store.
package roster
