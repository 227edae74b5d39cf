// Package redisdb is a node's access to Redis. It contains the client, its errors,
// the embedded server, and the state that API replicas and workers share: cached
// contracts, cached tokens and rate limits. Package queue keeps its streams in the
// same Redis. This package does not use MySQL; package contracts combines Redis and
// MySQL.
//
// The invariant: no response becomes wrong if Redis loses all its data at any
// moment, or if a cached copy is older than its row in MySQL.
//
// # Keys
//
// Every key starts with the node's hash tag. On a Redis Cluster all keys of a node
// are therefore in the same slot, and a script may use several of them. (In the
// keys of rate limits, the library's prefix "rate:" comes before the tag. This does
// not change the slot.)
//
//	{node}:state:INCARNATION:TOKEN:FILE   a contract with its challenge; kept until 10 minutes after its expiry, at most a day
//	{node}:token:INCARNATION:HASH   a cached token
//	{node}:arrival:TOKEN:FILE:PROOF   when a proof first arrived that got no verdict; kept for 10 minutes
//	{node}:probe              what the readiness check writes
//	rate:{node}:NAME          a rate limit
//	{node}:jobs, :dead, :counters, :replies:ID, :alive:WORKER   see package queue
//
// INCARNATION is that of the database; see [DB.SetIncarnation].
//
// Redis must not evict keys: set maxmemory-policy to noeviction. If Redis is full,
// it then refuses writes. This package returns [ErrUnavailable], and the farmer
// receives a 503.
package redisdb
