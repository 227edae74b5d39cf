package testenv

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
)

func TestMain(m *testing.M) {
	if os.Getenv("TESTENV_CHILD") != "" {
		child()
	}
	Main(m)
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", dsn)
	Must(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

func TestNewDatabase(t *testing.T) {
	t.Parallel()
	one, two := open(t, NewDatabase(t)), open(t, NewDatabase(t))
	for _, db := range []*sql.DB{one, two} {
		if _, err := db.Exec("CREATE TABLE t (id INT)"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMariaDBFaults(t *testing.T) {
	t.Parallel()
	m := StartMariaDB(t, Durable)
	db := open(t, m.NewDatabase(t))
	if _, err := db.Exec("CREATE TABLE t (id INT)"); err != nil {
		t.Fatal(err)
	}
	m.SetReadOnly(t, true)
	if _, err := db.Exec("INSERT INTO t VALUES (1)"); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("write to a read-only server: %v", err)
	}
	m.SetReadOnly(t, false)
	for name, end := range map[string]func(){"Terminate": func() { m.Terminate(t) }, "Kill": func() { m.Kill() }} {
		if _, err := db.Exec("INSERT INTO t VALUES (1)"); err != nil {
			t.Fatalf("before %s: %v", name, err)
		}
		end()
		if err := db.Ping(); err == nil {
			t.Errorf("%s: the server still responds", name)
		}
		m.Start(t)
	}
	var n int
	if err := db.QueryRow("SELECT COUNT(*) FROM t").Scan(&n); err != nil || n != 2 {
		t.Errorf("%d rows, %v after restarts; want 2", n, err)
	}
}

func TestRedis(t *testing.T) {
	t.Parallel()
	if one, two := NewRedis(t), NewRedis(t); one == two && os.Getenv("TEST_REDIS_URL") == "" {
		t.Errorf("two calls of NewRedis returned the same URL: %s", one)
	}
	r := StartRedis(t, Fast)
	r.Terminate(t)
	if err := r.command("PING"); err == nil {
		t.Error("a stopped server responds")
	}
	r.Start(t)
	r.Flush(t)
	r.Kill()
}

func TestServersEndWithTheProcess(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TESTENV_CHILD=1")
	out, err := cmd.Output()
	if err == nil {
		t.Fatal("the child exited without an error; it must kill itself")
	}
	address := string(out)
	if !strings.HasPrefix(address, "127.0.0.1:") {
		t.Fatalf("the child printed %q, which is not an address", address)
	}
	for range 500 {
		if redisCommand("redis://"+address, "PING") != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("the server at %q outlived its process", address)
}

// child starts a server, prints the server's address, and kills its own process.
func child() {
	r, err := launchRedis(Fast)
	if err != nil {
		panic(err)
	}
	fmt.Print(r.address())
	self, _ := os.FindProcess(os.Getpid())
	self.Kill()
	select {}
}
