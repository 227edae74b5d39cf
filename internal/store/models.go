package store

import (
	"database/sql"

	"github.com/driveshare/downstream-node/internal/node"
)

// The rows of the tables, as gorm reads and writes them. The columns are
// explained in migrations/mysql.

type settingRow struct {
	Name  string `gorm:"primaryKey"`
	Value []byte
}

func (settingRow) TableName() string { return "settings" }

type keyRow struct {
	ID          int64
	Fingerprint string
	Type        string
	Created     int64 `gorm:"autoCreateTime:false"`
}

func (keyRow) TableName() string { return "heartbeat_keys" }

type addressRow struct {
	ID          int64
	Address     string
	Whitelisted bool
	Balance     int64
}

func (addressRow) TableName() string { return "addresses" }

type locationRow struct {
	Country, State, City, Zip *string
	Lat, Lon                  *float64
}

// uptimeRow is node.Uptime in columns.
type uptimeRow struct {
	UpSince, UpStart, UpEnd, UpBefore int64
}

func (r uptimeRow) uptime() node.Uptime {
	return node.Uptime{
		Since:  moment(r.UpSince),
		Start:  moment(r.UpStart),
		End:    moment(r.UpEnd),
		Before: span(r.UpBefore),
	}
}

func uptimeColumns(u node.Uptime) uptimeRow {
	return uptimeRow{micros(u.Since), micros(u.Start), micros(u.End), u.Before.Microseconds()}
}

type tokenRow struct {
	ID                         int64
	Hash                       []byte
	FarmerID                   string
	AddressID                  int64
	KeyID                      int64
	IP                         string
	Location                   locationRow `gorm:"embedded"`
	Heartbeats, Wrong, Expired int64
	Contracts, Size            int64
	Uptime                     uptimeRow `gorm:"embedded"`
	LastDue                    int64
	Created                    int64 `gorm:"autoCreateTime:false"`
	Changed                    stamp // by every write
}

func (tokenRow) TableName() string { return "tokens" }

type fileRow struct {
	ID         int64
	Hash       []byte
	Seed       string
	Size       int64
	KeyID      int64
	TagSize    int64
	Redundancy int
}

func (fileRow) TableName() string { return "files" }

type reservationRow struct {
	ID         int64
	KeyID      int64
	Size       int64
	LeaseUntil int64
}

func (reservationRow) TableName() string { return "reservations" }

type chunkRow struct {
	ID        int64
	FileID    int64
	KeyID     int64
	Size      int64
	Challenge []byte
	State     []byte
	Created   int64 `gorm:"autoCreateTime:false"`
}

func (chunkRow) TableName() string { return "chunks" }

type tagRow struct {
	FileID  int64 `gorm:"primaryKey;autoIncrement:false"`
	Part    int   `gorm:"primaryKey;autoIncrement:false"`
	Content []byte
}

func (tagRow) TableName() string { return "tags" }

type contractRow struct {
	ID        int64
	TokenID   int64
	FileID    int64
	FileHash  []byte
	KeyID     int64
	Size      int64
	Period    int64
	Version   int64
	Sequence  int64
	Challenge []byte
	State     []byte
	Due       int64
	Answered  bool
	Accepted  []byte // means something where Answered
	Wrong     []byte // digests, one after the other
	Expiry    int64
	Live      bool
}

func (contractRow) TableName() string { return "contracts" }

const contractColumns = "id, token_id, file_id, file_hash, key_id, size, period, version, sequence, challenge, state," +
	" due, answered, accepted, wrong, expiry, live"

// scan reads a row of the contractColumns.
func (r *contractRow) scan(rows *sql.Rows) error {
	return rows.Scan(&r.ID, &r.TokenID, &r.FileID, &r.FileHash, &r.KeyID, &r.Size, &r.Period, &r.Version, &r.Sequence,
		&r.Challenge, &r.State, &r.Due, &r.Answered, &r.Accepted, &r.Wrong, &r.Expiry, &r.Live)
}

func (r *contractRow) contract() node.Contract {
	c := node.Contract{
		ID:        r.ID,
		TokenID:   r.TokenID,
		KeyID:     r.KeyID,
		FileHash:  node.FileHash(r.FileHash),
		Size:      r.Size,
		Interval:  span(r.Period),
		Version:   r.Version,
		Sequence:  r.Sequence,
		Challenge: r.Challenge,
		State:     r.State,
		Due:       moment(r.Due),
		Answered:  r.Answered,
	}
	if r.Answered {
		c.Accepted = node.Digest(r.Accepted)
	}
	const size = len(node.Digest{})
	for wrong := r.Wrong; len(wrong) >= size; wrong = wrong[size:] {
		c.Wrong = append(c.Wrong, node.Digest(wrong[:size]))
	}
	return c
}

// wrong is the column of that name.
func wrong(c *node.Contract) []byte {
	out := make([]byte, 0, len(c.Wrong)*len(node.Digest{})) // empty, not NULL
	for _, d := range c.Wrong {
		out = append(out, d[:]...)
	}
	return out
}
