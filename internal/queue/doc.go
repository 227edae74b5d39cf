// Package queue carries work and hot state between API and workers in Redis:
// verification jobs and their replies, copies of contracts with their current
// challenges, remembered tokens, and rate limits. It knows nothing of MySQL,
// of HTTP or of what a proof is, and keeps no record of anything.
//
// The invariant: what is here can be lost, all of it, at any moment, or be
// there twice, and no farmer was told anything that then is not so. It holds
// because a verdict is committed to MySQL before it is replied, replied before
// its job is acknowledged, and counts once however often it is reached. All
// that a loss costs is time: the farmer gets a 503 and asks again.
//
// # Keys
//
// All are of one node and begin with its hash tag, so that on a Redis Cluster
// they share a slot and scripts may touch several. (Only the rate limits have
// their library's "rate:" before the tag, which changes no slot.)
//
//	{node}:jobs            stream  jobs, with the consumer group "workers"
//	{node}:replies:ID      stream  replies for one API replica; 5 minutes after the last
//	{node}:dead            stream  the last 1000 or so that could not be judged, with the reason
//	{node}:counters        hash    totals of all workers
//	{node}:state:TOKEN:FILE        a contract; until its expiry and 10 minutes, a day at most
//	{node}:token:HASH              what the API remembers of a token
//
// Nothing may be evicted: the server needs the policy noeviction. A full one
// then refuses, which is ErrUnavailable here and a 503 for the farmer.
//
// # A job's life
//
// The API makes an ID, expects the reply to it (Replies.Expect), adds the job
// (Enqueue) and waits for the reply or the job's deadline, whichever is first.
// A queue that is full refuses: nothing is ever dropped to make room. When no
// reply comes the API looks at MySQL, where the verdict may be after all.
//
// A worker reads as many jobs as it has free places (Consumer.Read), and now
// and then takes over what others have had for too long (Consumer.Reclaim).
// It verifies, commits, replies (Queue.Reply), and last says Done, which
// acknowledges the entry and deletes it. Where it dies:
//
//   - before the commit: the job is delivered again, and judged then;
//   - between commit and reply, or reply and Done: it is delivered again, the
//     row shows that the answer was counted, and the farmer is told the same;
//   - when it was only paused, and another took the job over: its late commit
//     changes nothing, its Done removes what is done, and HandBack leaves
//     alone what is no longer its own.
//
// Three kinds of entries are not judged. One whose deadline has passed is
// counted and removed: nobody waits, and it must not become a wrong proof. One
// that cannot be decoded, or was delivered more often than MaxDeliveries, or
// that a worker panics over, is put aside in the dead-letter stream. Whoever
// may still wait is told "undecided", and the farmer asks again.
//
// # When Redis is lost
//
// After a flush, or on a server that knows nothing, the first read makes the
// group anew, from the stream's begin, so that jobs added before that are not
// passed over. Jobs that were waiting are gone, and their farmers ask again.
// Jobs that were in hand are committed all the same; there is nothing left to
// acknowledge. Replies go on even where the ids of a new server begin below
// the cursor. Copies of contracts are read from MySQL again. Scripts are sent
// again when the server does not know them. A failover that forgets the last
// acknowledgements delivers those jobs again, like a worker that died.
//
// The guard of States.Put keeps a slow writer from putting an old copy over a
// new one, but not from putting one where there is none, after a loss or a
// Forget. So a copy may be behind, and who finds it so, because a verdict on it
// was undecided, puts the record in its place, or the farmer would be told to
// ask again until it expires.
//
// # Shutdown
//
// The API stops accepting, lets its requests end, then ends the context of
// Replies.Run, then closes the Queue. A worker stops reading (a read under way
// is not broken off: it ends within Block, and what it brings is in hand like
// the rest), finishes and flushes what it has begun with contexts that are not
// cancelled, gives back what it has not (HandBack), leaves the group (Close of
// the Consumer), then closes the Queue. A consumer with entries pending is
// never deleted: the group would forget them.
package queue
