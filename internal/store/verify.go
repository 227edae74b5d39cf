package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Survey is what the database contains that must fit to the node and its heartbeat keys.
type Survey struct {
	Have, Want int64 // the version of the tables, and the version that this program needs
	Owner      Owner
	Keys       []KeyUse
	Live       int64 // contracts that have not ended
	Keyless    int64 // of these, those with a key that the database does not know
	Miscounted int64 // tokens whose counts differ from their live contracts; see Repair
	Heartbeat  time.Time
	Seen       time.Time // when an API replica or a worker last wrote its row
}

// KeyUse is a heartbeat key of the database, and the number of live contracts that need it.
type KeyUse struct {
	KeyRecord
	Contracts int64
}

// Survey reads a Survey. It writes nothing. If the tables have another version than this
// program needs, Survey returns only the versions, because it cannot read these tables.
func (s *Store) Survey(ctx context.Context) (v Survey, err error) {
	defer wrap(&err, "survey the database")
	if v.Have, v.Want, err = s.SchemaVersion(ctx); err != nil || v.Have != v.Want {
		return v, err
	}
	t := s.reader(ctx)
	if v.Owner, err = ownerOf(t); err != nil {
		return v, err
	}
	keys, err := selectKeys(t, "")
	if err != nil {
		return v, err
	}
	contracts := map[int64]int64{}
	var key, n int64
	err = t.query(func(rows *sql.Rows) error {
		err := rows.Scan(&key, &n)
		contracts[key] = n
		v.Live += n
		return err
	}, "SELECT key_id, COUNT(*) FROM contracts WHERE live = 1 GROUP BY key_id")
	if err != nil {
		return v, err
	}
	v.Keyless = v.Live
	for _, k := range keys {
		v.Keys = append(v.Keys, KeyUse{k, contracts[k.ID]})
		v.Keyless -= contracts[k.ID]
	}
	wrong, err := t.numbers(miscounted)
	if err != nil {
		return v, err
	}
	v.Miscounted = int64(len(wrong))
	for _, latest := range []struct {
		of    *time.Time
		query string
	}{
		{&v.Heartbeat, "SELECT COALESCE(MAX(last_heartbeat), 0) FROM tokens"},
		{&v.Seen, "SELECT COALESCE(MAX(seen), 0) FROM processes WHERE kind IN ('" + KindAPI + "', '" + KindWorker + "', '" + KindStandalone + "')"},
	} {
		micro, err := t.number(latest.query)
		if err != nil {
			return v, err
		}
		*latest.of = moment(micro)
	}
	return v, nil
}

// CopyTo writes a copy of an SQLite database to a file, which must be empty. The copy is of
// one moment, and other processes may write to the database meanwhile.
func (s *Store) CopyTo(ctx context.Context, path string) (err error) {
	defer wrap(&err, "copy the database")
	if s.cfg.Driver != SQLite {
		return errors.New("only a database of SQLite is a file")
	}
	_, err = s.read.pool.ExecContext(ctx, "VACUUM INTO ?", path)
	return err
}
