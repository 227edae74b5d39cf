// Package testenv runs real database and Redis servers for tests: private
// ones, on ports of their own, gone when the test process is.
//
// NewDatabase and NewRedis give a test something fresh on a server that all
// tests of the process share; it starts with the first that asks. StartMariaDB
// and StartRedis start one for a single test, to stop, kill, pause and start
// again. A package that uses any of them calls Main from its TestMain.
//
// TEST_MYSQL_DSN and TEST_REDIS_URL name servers to share instead, such as a
// MySQL 8; the user of that DSN must be allowed to create databases.
//
// It is not for programs: whatever goes wrong fails the test.
//
// The invariant: no server outlives the process that started it, whichever way
// that ends.
package testenv
