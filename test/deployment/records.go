package deployment

import (
	"database/sql"
	"testing"

	_ "github.com/go-sql-driver/mysql" // reads the records
)

// Records are what the node has written down.
type Records struct {
	Tokens    map[string]Token // by farmer id
	Contracts []Contract
	Files     int // encoded so far
	Waiting   int // of those, in the inventory
}

// Token is the record of a farmer.
type Token struct {
	Address           string
	Heartbeats, Wrong int64
}

// Contract is the record of a contract.
type Contract struct {
	Farmer, File string
	Scheme       string
	Size         int64
	Version      int64
	// Heartbeats is how many challenges were answered: each one before the
	// current, or the current would not have been issued, and perhaps that.
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
		err := rows.Scan(&id, &token.Address, &token.Heartbeats, &token.Wrong)
		r.Tokens[id] = token
		return err
	}, "SELECT t.farmer_id, a.address, t.heartbeats, t.wrong FROM tokens t JOIN addresses a ON a.id = t.address_id")
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
