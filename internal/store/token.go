package store

import (
	"context"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/driveshare/downstream-node/internal/node"
)

// NewToken is a token to be made.
type NewToken struct {
	Hash     node.TokenHash
	Address  string
	IP       string
	Location *node.Location // nil where unknown
	KeyID    int64          // the heartbeat key that its chunks are to be of
}

// TokenLimits bound the making of tokens.
type TokenLimits struct {
	TokensPerIP int  // 0 means no limit
	Whitelist   bool // whether the address must be on the whitelist
}

// Token is what a request needs to know of the token that it names.
type Token struct {
	ID        int64
	Hash      node.TokenHash
	FarmerID  string
	AddressID int64
	Address   string
	KeyID     int64
	IP        string
	Created   time.Time
}

// CreateToken records a token. It fails with ErrNotWhitelisted or
// ErrTooManyTokens.
func (s *Store) CreateToken(ctx context.Context, t NewToken, limits TokenLimits, now time.Time) (err error) {
	defer wrap(&err, "create token for %s", t.Address)
	return s.transaction(ctx, func(tx *gorm.DB) error {
		addressID, err := s.lockAddress(tx, t.Address, limits.Whitelist)
		if err != nil {
			return err
		}
		if err := s.lockIP(tx, t.IP); err != nil {
			return err
		}
		if limits.TokensPerIP > 0 {
			n, err := tokensAtIP(tx, t.IP)
			if err != nil {
				return err
			}
			if n >= int64(limits.TokensPerIP) {
				return ErrTooManyTokens
			}
		}
		err = tx.Create(&tokenRow{
			Hash:      t.Hash[:],
			FarmerID:  t.Hash.FarmerID(),
			AddressID: addressID,
			KeyID:     t.KeyID,
			IP:        t.IP,
			Location:  locationColumns(t.Location),
			Created:   micros(now),
		}).Error
		if err != nil {
			return err
		}
		return s.record(tx, []event{{now, node.Totals{Farmers: 1}}})
	})
}

// lockAddress locks the address's row, which is made where no whitelist says
// who may come.
func (s *Store) lockAddress(tx *gorm.DB, address string, whitelist bool) (id int64, err error) {
	if !whitelist {
		if err := s.insertOrLock(tx, "addresses", []string{"address"}, address); err != nil {
			return 0, err
		}
	}
	var row addressRow
	err = tx.Raw("SELECT * FROM addresses WHERE address = ?"+s.dialect.forUpdate, address).Scan(&row).Error
	if err != nil {
		return 0, err
	}
	if row.ID == 0 || whitelist && !row.Whitelisted {
		return 0, ErrNotWhitelisted
	}
	return row.ID, nil
}

// Token finds a token by its hash, or fails with ErrNotFound.
func (s *Store) Token(ctx context.Context, hash node.TokenHash) (t Token, err error) {
	defer wrap(&err, "find token of farmer %s", hash.FarmerID())
	var row struct {
		Token   tokenRow `gorm:"embedded"`
		Address string
	}
	err = s.read.WithContext(ctx).Table("tokens").Select("tokens.*, addresses.address").
		Joins("JOIN addresses ON addresses.id = tokens.address_id").
		Where("tokens.hash = ?", hash[:]).Take(&row).Error
	if err != nil {
		return Token{}, err
	}
	return Token{
		ID:        row.Token.ID,
		Hash:      hash,
		FarmerID:  row.Token.FarmerID,
		AddressID: row.Token.AddressID,
		Address:   row.Address,
		KeyID:     row.Token.KeyID,
		IP:        row.Token.IP,
		Created:   moment(row.Token.Created),
	}, nil
}

// MoveToken records that the token's farmer is at another IP address now. It
// counts there from then on, whatever the limit: see HandOut for what follows.
func (s *Store) MoveToken(ctx context.Context, id int64, ip string, location *node.Location) (err error) {
	defer wrap(&err, "move token %d to %s", id, ip)
	return s.transaction(ctx, func(tx *gorm.DB) error {
		if err := s.lockIP(tx, ip); err != nil {
			return err
		}
		l := locationColumns(location)
		res := tx.Exec("UPDATE tokens SET ip = ?, country = ?, state = ?, city = ?, zip = ?, lat = ?, lon = ?, changed = ? WHERE id = ?",
			ip, l.Country, l.State, l.City, l.Zip, l.Lat, l.Lon, stamp(0), id)
		if res.Error == nil && res.RowsAffected == 0 {
			return ErrNotFound
		}
		return res.Error
	})
}

// TokensAtIP counts the tokens that the IP address holds.
func (s *Store) TokensAtIP(ctx context.Context, ip string) (n int64, err error) {
	defer wrap(&err, "count tokens at %s", ip)
	return tokensAtIP(s.read.WithContext(ctx), ip)
}

func tokensAtIP(tx *gorm.DB, ip string) (n int64, err error) {
	err = tx.Model(&tokenRow{}).Where("ip = ?", ip).Count(&n).Error
	return n, err
}

// DeleteToken deletes the farmer's token and its contracts.
func (s *Store) DeleteToken(ctx context.Context, farmerID string, now time.Time) (err error) {
	defer wrap(&err, "delete token of farmer %s", farmerID)
	return s.transaction(ctx, func(tx *gorm.DB) error {
		var row tokenRow
		if err := tx.Select("id").Where("farmer_id = ?", farmerID).Take(&row).Error; err != nil {
			return err
		}
		left, err := s.deleteTokens(tx, []int64{row.ID}, now)
		if err != nil {
			return err
		}
		return s.record(tx, left)
	})
}

// deleteTokens deletes tokens, their contracts and their days, and says what
// there is to record of it, at the end of the transaction. The files that are
// left over are DeleteOrphanFiles' to find.
func (s *Store) deleteTokens(tx *gorm.DB, ids []int64, now time.Time) ([]event, error) {
	tokens, err := s.lockTokens(tx, ids)
	if err != nil {
		return nil, err
	}
	for batch := range slices.Chunk(ids, batchRows) {
		var over []contractRow
		err := tx.Select("token_id, size, expiry").Where("token_id IN ? AND live = 1 AND expiry <= ?", batch, micros(now)).
			Find(&over).Error
		if err != nil {
			return nil, err
		}
		for _, row := range over {
			tokens[row.TokenID].lose(moment(row.Expiry), row.Size)
		}
		if err := leave(tx, batch); err != nil {
			return nil, err
		}
		for _, table := range []string{"contracts", "farmer_days"} {
			if err := tx.Exec("DELETE FROM "+table+" WHERE token_id IN ?", batch).Error; err != nil {
				return nil, err
			}
		}
		if err := tx.Exec("DELETE FROM tokens WHERE id IN ?", batch).Error; err != nil {
			return nil, err
		}
	}
	left := slices.Collect(maps.Values(tokens))
	for _, t := range left {
		t.leave(now)
	}
	return eventsOf(left), nil
}

// locationColumns cuts texts to what the columns hold: where a farmer is said
// to be is no reason to turn it away.
func locationColumns(l *node.Location) locationRow {
	if l == nil {
		return locationRow{}
	}
	clip := func(s string, runes int) *string {
		if r := []rune(s); len(r) > runes {
			s = string(r[:runes])
		}
		return &s
	}
	lat, lon := l.Lat, l.Lon
	return locationRow{
		Country: clip(l.Country, 128),
		State:   clip(l.State, 128),
		City:    clip(l.City, 128),
		Zip:     clip(l.Zip, 32),
		Lat:     &lat,
		Lon:     &lon,
	}
}

func (r locationRow) location() *node.Location {
	if r.Country == nil {
		return nil
	}
	return &node.Location{Country: *r.Country, State: *r.State, City: *r.City, Zip: *r.Zip, Lat: *r.Lat, Lon: *r.Lon}
}
