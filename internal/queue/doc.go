// Package queue carries verification jobs from API replicas to workers, and replies
// from workers to API replicas, in Redis streams. It does not use MySQL or HTTP,
// and does not interpret proofs.
//
// The invariant: no response becomes wrong if an entry is lost or delivered twice,
// at any moment. This holds because a worker commits a verdict to MySQL before it
// replies, and replies before it acknowledges the job. It also holds because a
// verdict counts once however often it is reached. After a loss the farmer receives
// a 503 and sends its proofs again.
//
//	{node}:jobs         stream  jobs, with the consumer group "workers"
//	{node}:replies:ID   stream  replies for one API replica; expires 5 minutes after the last
//	{node}:alive:NAME   string  exists while the worker lives; expires 3 seconds after its last renewal
//	{node}:dead         stream  dead letters: about the last 256 jobs that could not be judged, and why
//	{node}:counters     hash    totals of all workers
//
// # A job
//
// An API replica creates an ID, calls [Replies.Expect] for the reply to that ID,
// adds the job ([Queue.Enqueue]) and waits for the reply until the job's deadline.
// A full queue refuses new jobs; it never drops an old job to make room. If no
// reply arrives, the API replica reads the verdict from MySQL.
//
// A worker reads jobs ([Consumer.Read]) and takes over jobs of workers that have died
// or that have held a job for too long ([Consumer.Reclaim]). While it lives, it renews
// its liveness key ([Consumer.KeepAlive]). It verifies, commits, replies
// ([Queue.Reply]), and then acknowledges and deletes the job ([Consumer.Done]).
//
//   - If the worker dies before the commit, the job is delivered again.
//   - If it dies after the commit, the job is delivered again. The row in MySQL
//     shows that the proof has counted, and the farmer receives the same verdict.
//   - If the worker only paused and another worker took over the job, the late calls
//     of the first worker are harmless: its commit changes nothing, its Done deletes
//     a finished job, and its HandBack skips jobs that it no longer holds.
//
// A job whose deadline has passed is not judged, only counted and deleted, because
// no request waits for it and its proofs must not become wrong proofs. A job that
// cannot be parsed, was delivered more than MaxDeliveries times, or makes a worker
// panic becomes a dead letter. The API then receives "undecided", and the farmer
// sends the proofs again. An operator may retry or delete dead letters
// ([Queue.RetryDeadLetter]).
//
// # Loss of Redis
//
// The first read after a flush creates the group at the start of the stream, so
// that the group skips no job. Farmers send the proofs of lost jobs again. A worker
// commits the jobs that it has read; Done then has no effect. [Replies] continue
// even if the ids of the new server start below the cursor. If a failover loses
// acknowledgements, those jobs are delivered again.
//
// # Shutdown
//
// An API replica stops accepting requests, waits for the requests in progress, ends
// [Replies.Run], and closes Redis.
//
// A worker stops reading. A read in progress ends within Block, and its jobs are
// processed. The worker then finishes its jobs with contexts that are not canceled.
// It hands back the jobs that it has not finished ([Consumer.HandBack]), leaves the
// group ([Consumer.Close]), and closes Redis. Close does not delete a consumer that
// has pending entries, because Redis would drop these entries from the group.
package queue
