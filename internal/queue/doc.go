// Package queue carries verification jobs from API replicas to workers, and
// replies back, in Redis streams. It does not use MySQL or HTTP, and does not
// know what a proof is.
//
// The invariant: every entry may be lost or delivered twice at any moment
// without making a response wrong. This holds because a worker commits a
// verdict to MySQL before it replies, replies before it acknowledges the job,
// and a verdict counts once however often it is reached. After a loss the
// farmer receives a 503 and sends its proofs again.
//
//	{node}:jobs         stream  jobs, with the consumer group "workers"
//	{node}:replies:ID   stream  replies for one API replica; expires 5 minutes after the last
//	{node}:dead         stream  dead letters: about the last 1000 jobs without a verdict, and why
//	{node}:counters     hash    totals of all workers
//
// # A job
//
// An API replica makes an ID, expects the reply to it ([Replies.Expect]), adds
// the job ([Queue.Enqueue]) and waits for the reply until the job's deadline. A
// full queue refuses jobs; it never drops one to make room. If no reply comes,
// the API reads the verdict from MySQL.
//
// A worker reads jobs ([Consumer.Read]) and takes over jobs that another worker
// has held for too long ([Consumer.Reclaim]). It verifies, commits, replies
// ([Queue.Reply]), and then acknowledges and deletes the job ([Consumer.Done]).
//
//   - If the worker dies before the commit, the job is delivered again.
//   - If it dies after the commit, the job is delivered again. The row in MySQL
//     shows that the proof has counted, and the farmer receives the same verdict.
//   - If it only paused and another worker took the job over, its late commit
//     changes nothing, its Done deletes a finished job, and its HandBack skips
//     jobs that it no longer holds.
//
// A job whose deadline has passed is not judged, only counted and deleted: no
// request waits for it, and it must not become a wrong proof. A job that cannot
// be parsed, was delivered more than MaxDeliveries times, or makes a worker
// panic becomes a dead letter. The API then receives "undecided", and the farmer
// sends the proofs again.
//
// # Loss of Redis
//
// The first read after a flush creates the group at the start of the stream, so
// that it skips no job. Lost jobs are sent again by their farmers. A worker
// commits the jobs it has read; Done then has no effect. [Replies] continue
// even if the new server's ids start below the cursor. A failover that loses
// acknowledgements delivers those jobs again.
//
// # Shutdown
//
// An API replica stops accepting requests, waits for those under way, ends
// [Replies.Run], and closes Redis. A worker stops reading (a read under way
// ends within Block, and its jobs are processed), finishes its jobs with
// contexts that are not canceled, hands back the others ([Consumer.HandBack]),
// leaves the group ([Consumer.Close]), and closes Redis. Close keeps a consumer
// that has pending entries, because Redis would drop them from the group.
package queue
