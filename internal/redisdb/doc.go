// Package redisdb is a node's Redis: the client, its errors, the embedded
// server, and the hot state that API replicas and workers share: cached
// contracts, cached tokens and rate limits. Package queue keeps its streams in
// the same Redis. This package does not use MySQL; package contracts joins both.
//
// The invariant: Redis may lose everything at any moment, and a cached copy may
// be older than its row in MySQL, without making any response wrong.
//
// # Keys
//
// Every key starts with the node's hash tag. On a Redis Cluster all keys of a
// node therefore share a slot, and a script may use several of them. (Rate
// limits have their library's "rate:" before the tag, which does not change
// the slot.)
//
//	{node}:state:TOKEN:FILE   a contract with its challenge; kept until 10 minutes after its expiry, at most a day
//	{node}:token:HASH         a cached token
//	rate:{node}:NAME          a rate limit
//	{node}:jobs, :dead, :counters, :replies:ID   see package queue
//
// Redis must not evict keys: set maxmemory-policy to noeviction. A full Redis
// then refuses writes, which is [ErrUnavailable] here and a 503 for the farmer.
package redisdb
