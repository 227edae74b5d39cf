package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// NewToken describes a token to create.
type NewToken struct {
	Hash     node.TokenHash
	Address  string
	IP       string
	Location *node.Location // nil if unknown
	KeyID    int64          // the heartbeat key of the chunks that the token gets
}

// TokenLimits limit which farmers may have a token.
type TokenLimits struct {
	TokensPerIP int  // maximum number of tokens in one network; 0 means no limit
	IPv6Prefix  int  // IPv6 addresses with a common prefix of so many bits are one network; 0 means that each one is a network
	Whitelist   bool // whether the SJCX address must be on the whitelist
}

// Token is the data of a token that a request needs.
type Token struct {
	ID        int64
	Hash      node.TokenHash
	FarmerID  string
	AddressID int64
	Address   string
	KeyID     int64
	IP        string
	Created   time.Time

	// Location is where IP is, or nil if unknown. HandOut records it if the token
	// moves. Token does not read it.
	Location *node.Location `json:"-"`
}

// CreateToken records a token. It returns ErrNotWhitelisted or ErrTooManyTokens
// if the limits do not allow it.
func (s *Store) CreateToken(ctx context.Context, n NewToken, limits TokenLimits, now time.Time) (err error) {
	defer wrap(&err, "create token for %s", n.Address)
	return s.transaction(ctx, func(t *tx) error {
		network := networkOf(n.IP, limits.IPv6Prefix)
		if err := s.lockNetwork(t, network); err != nil {
			return err
		}
		addressID, err := s.lockAddress(t, n.Address, limits.Whitelist)
		if err != nil {
			return err
		}
		if limits.TokensPerIP > 0 {
			held, err := t.number("SELECT COUNT(*) FROM tokens WHERE ip BETWEEN ? AND ?", network.first, network.last)
			if err != nil {
				return err
			}
			if held >= int64(limits.TokensPerIP) {
				return ErrTooManyTokens
			}
		}
		if err := network.changeLock(t); err != nil {
			return err
		}
		row := tokenRow{
			ID:          tokenID(n.Hash),
			Hash:        n.Hash[:],
			FarmerID:    n.Hash.FarmerID(),
			AddressID:   addressID,
			KeyID:       n.KeyID,
			IP:          storedIP(n.IP),
			locationRow: locationOf(n.Location),
			Created:     micros(now),
			Evidence:    []byte{}, // not NULL
		}
		cs := tokenTable.columns
		err = t.exec("INSERT INTO tokens ("+cs.list("")+", changed) VALUES ("+placeholders(len(cs))+", "+s.dialect.clock+")",
			cs.appendArgs(nil, &row)...)
		if err != nil {
			return err
		}
		return s.record(t, []event{{now, node.Totals{Farmers: 1}}})
	})
}

// tokenID returns the id of a new token: the first 52 bits of its hash. Ids from a
// counter would be used twice if the database is set back to an earlier state, and then a job, a
// cached record or a request of the first token would act on the second one. With
// 52 bits, database functions that compute with double precision are exact.
//
// If two tokens have the same id, the second one cannot be created, and the farmer
// asks again. With a million tokens, the chance is one in billions for each request.
func tokenID(hash node.TokenHash) int64 {
	return int64(max(1, binary.BigEndian.Uint64(hash[:8])>>12))
}

// Token finds a token by its hash, or returns ErrNotFound.
func (s *Store) Token(ctx context.Context, hash node.TokenHash) (token Token, err error) {
	defer wrap(&err, "find token of farmer %s", hash.FarmerID())
	var created int64
	err = s.reader(ctx).query(func(rows *sql.Rows) error {
		token.Hash = hash
		return rows.Scan(&token.ID, &token.FarmerID, &token.AddressID, &token.Address, &token.KeyID, &token.IP, &created)
	}, "SELECT t.id, t.farmer_id, t.address_id, a.address, t.key_id, t.ip, t.created"+
		" FROM tokens t JOIN addresses a ON a.id = t.address_id WHERE t.hash = ?", hash[:])
	if err == nil && token.ID == 0 {
		err = ErrNotFound
	}
	token.IP, token.Created = shownIP(token.IP), moment(created)
	return token, err
}

// MoveToken records the farmer's new IP address if its network has room for the
// token, and reports whether the token is counted there. limits.Contracts and
// limits.Share have no effect.
//
// A token stays counted at its old network until another network has room. No network
// therefore holds more tokens, or more contracts without a proof, than the limits
// allow, and a farmer cannot free a network by using its tokens elsewhere. HandOut
// counts a token at the network of the request, so a token that stays counted at its
// old network gets no more contracts than one that moves.
func (s *Store) MoveToken(ctx context.Context, id int64, ip string, location *node.Location, limits HandOutLimits) (moved bool, err error) {
	defer wrap(&err, "move token %d to %s", id, ip)
	return transact(ctx, s, func(t *tx) (bool, error) {
		network := networkOf(ip, limits.IPv6Prefix)
		if err := s.lockNetwork(t, network); err != nil {
			return false, err
		}
		token, err := s.lockToken(t, id)
		if err != nil || networkOf(token.IP, limits.IPv6Prefix) == network {
			return err == nil, err
		}
		fits, err := s.fits(t, id, network, limits)
		if err != nil || !fits {
			return false, err
		}
		if err := network.changeLock(t); err != nil {
			return false, err
		}
		return true, s.writePlace(t, id, ip, location)
	})
}

// fits reports whether a network has room for a token of another network.
func (s *Store) fits(t *tx, id int64, network network, limits HandOutLimits) (bool, error) {
	if limits.TokensPerIP > 0 {
		there, err := t.number("SELECT COUNT(*) FROM tokens WHERE ip BETWEEN ? AND ?", network.first, network.last)
		if err != nil || there >= int64(limits.TokensPerIP) {
			return false, err
		}
	}
	if limits.Unproven == (node.UnprovenLimits{}) {
		return true, nil
	}
	held, err := s.heldIn(t, scopeOfToken(id), scopeOfNetwork(network))
	if err != nil {
		return false, err
	}
	return limits.Unproven.Fits(held[0], held[1], node.UnprovenFactor), nil
}

// writePlace writes a token's IP address and location.
func (s *Store) writePlace(t *tx, id int64, ip string, location *node.Location) error {
	l := locationOf(location)
	return t.exec("UPDATE tokens SET ip = ?, country = ?, state = ?, city = ?, zip = ?, lat = ?, lon = ?,"+
		" changed = "+s.dialect.clock+" WHERE id = ?", storedIP(ip), l.Country, l.State, l.City, l.Zip, l.Lat, l.Lon, id)
}

// tokenOf returns the id of the farmer's token, or ErrNotFound.
func (t *tx) tokenOf(farmerID string) (int64, error) {
	id, err := t.number("SELECT id FROM tokens WHERE farmer_id = ?", farmerID)
	if err == nil && id == 0 {
		err = ErrNotFound
	}
	return id, err
}

// DeleteToken deletes the farmer's token and its contracts.
func (s *Store) DeleteToken(ctx context.Context, farmerID string, now time.Time) (err error) {
	defer wrap(&err, "delete token of farmer %s", farmerID)
	return s.transaction(ctx, func(t *tx) error {
		id, err := t.tokenOf(farmerID)
		if err != nil {
			return err
		}
		left, err := s.deleteTokens(t, []int64{id}, now)
		if err != nil {
			return err
		}
		return s.record(t, left)
	})
}

// deleteTokens deletes tokens, their contracts and their days. It returns the
// events that the caller must record at the end of the transaction. Clean deletes
// the files later.
func (s *Store) deleteTokens(t *tx, ids []int64, now time.Time) ([]event, error) {
	tokens, err := s.lockTokens(t, ids)
	if err != nil {
		return nil, err
	}
	for batch := range slices.Chunk(ids, batchRows) {
		list := idList(batch)
		expired, err := selectRows(t, endingColumns,
			"FROM contracts WHERE token_id IN "+list+" AND live = 1 AND expiry <= ?", micros(now))
		if err != nil {
			return nil, err
		}
		for _, c := range expired {
			if token := tokens[c.TokenID]; token != nil { // it can be missing after a restore
				token.endContract(&c, 0)
			}
		}
		live, err := selectRows(t, endingColumns, "FROM contracts WHERE token_id IN "+list+" AND live = 1")
		if err != nil {
			return nil, err
		}
		if err := loseCopies(t, live, now); err != nil {
			return nil, err
		}
		for _, statement := range []string{
			// FarmersSince reads these rows to report deleted farmers.
			"INSERT INTO departures (farmer_id, changed) SELECT farmer_id, " + s.dialect.clock + " FROM tokens WHERE id IN " + list,
			"INSERT INTO orphans (file_id) SELECT file_id FROM contracts WHERE token_id IN " + list,
			"DELETE FROM contracts WHERE token_id IN " + list,
			"DELETE FROM farmer_days WHERE token_id IN " + list,
			"DELETE FROM farmer_events WHERE token_id IN " + list,
			"DELETE FROM tokens WHERE id IN " + list,
		} {
			if err := t.exec(statement); err != nil {
				return nil, err
			}
		}
	}
	left := slices.Collect(maps.Values(tokens))
	for _, token := range left {
		token.removeAll(now)
	}
	return eventsOf(left), nil
}
