package deployment

import (
	"bufio"
	"database/sql"
	"strconv"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql" // reads the records
	"github.com/redis/go-redis/v9"

	"github.com/driveshare/downstream-node/internal/node"
)

// Records holds the node's records as they are in the database.
type Records struct {
	Tokens    map[string]Token // by farmer id
	Contracts []Contract
	Files     int // all encoded files
	Waiting   int // files that wait in the inventory
}

// Token is the record of a farmer.
type Token struct {
	Address           string
	Heartbeats, Wrong int64
	Evidence          node.Evidence
	Slots             int64 // the intervals since the token was created, begun ones too
}

// Contract is the record of a contract.
type Contract struct {
	Farmer, File string
	Scheme       string
	Size         int64
	Version      int64
	// Heartbeats is the number of answered challenges. These are all challenges
	// before the current challenge, and also the current challenge if it is
	// answered.
	Heartbeats int64
}

// Database opens the node's database.
func (n *Node) Database(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", n.dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// Records reads the records.
func (n *Node) Records(t testing.TB) Records {
	t.Helper()
	db := n.Database(t)
	defer db.Close()
	r := Records{Tokens: map[string]Token{}}
	each(t, db, func(rows *sql.Rows) error {
		var id string
		var token Token
		var evidence []byte
		err := rows.Scan(&id, &token.Address, &token.Heartbeats, &token.Wrong, &evidence, &token.Slots)
		if err == nil {
			err = token.Evidence.UnmarshalBinary(evidence)
		}
		r.Tokens[id] = token
		return err
	}, "SELECT t.farmer_id, a.address, t.heartbeats, t.wrong, t.evidence,"+
		" COALESCE((TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) - t.created) DIV (SELECT MAX(period) FROM contracts) + 2, 0)"+
		" FROM tokens t JOIN addresses a ON a.id = t.address_id")
	each(t, db, func(rows *sql.Rows) error {
		var c Contract
		err := rows.Scan(&c.Farmer, &c.File, &c.Scheme, &c.Size, &c.Version, &c.Heartbeats)
		r.Contracts = append(r.Contracts, c)
		return err
	}, "SELECT t.farmer_id, LOWER(HEX(c.file_hash)), k.type, c.size, c.version, c.sequence + c.answered"+
		" FROM contracts c JOIN tokens t ON t.id = c.token_id JOIN heartbeat_keys k ON k.id = c.key_id")
	each(t, db, func(rows *sql.Rows) error {
		return rows.Scan(&r.Files, &r.Waiting)
	}, "SELECT (SELECT COUNT(*) FROM files), (SELECT COUNT(*) FROM chunks)")
	return r
}

func each(t testing.TB, db *sql.DB, read func(*sql.Rows) error, query string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := read(rows); err != nil {
			t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// Metric reads one of the process's metrics. name contains the name and the labels,
// as in the Prometheus text format. Metric returns 0 if the metric does not exist.
func (r *Replica) Metric(t testing.TB, name string) float64 {
	t.Helper()
	resp, err := probe.Get(r.Private + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatalf("metric %s: %v", name, err)
			}
			return value
		}
	}
	return 0
}

// These are the node's keys in Redis. Package queue documents them.
const (
	Jobs        = "{downstream}:jobs"
	DeadLetters = "{downstream}:dead"
	Counters    = "{downstream}:counters"
)

// OpenRedis returns a client of the node's Redis database.
func (n *Node) OpenRedis(t testing.TB) *redis.Client {
	t.Helper()
	opt, err := redis.ParseURL(n.redisURL)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(opt)
	t.Cleanup(func() { client.Close() })
	return client
}
