package store

import (
	"context"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

type farmerRow struct {
	Token         tokenRow `gorm:"embedded"`
	Address       string
	OverContracts int64
	OverSize      int64
}

// overdueOf counts what expired of a token's contracts since the sweeper was
// there, which is little and has an index: counting what lives is not.
const overdueOf = "FROM contracts c WHERE c.token_id = tokens.id AND c.live = 1 AND c.expiry <= ?"

// Farmer finds one farmer by its id, as it is at now, or fails with
// ErrNotFound.
func (s *Store) Farmer(ctx context.Context, id string, now time.Time) (f node.Farmer, err error) {
	defer wrap(&err, "find farmer %s", id)
	var row farmerRow
	err = s.read.WithContext(ctx).Table("tokens").
		Select("tokens.*, addresses.address, (SELECT COUNT(*) "+overdueOf+") AS over_contracts,"+
			" (SELECT COALESCE(SUM(c.size), 0) "+overdueOf+") AS over_size", micros(now), micros(now)).
		Joins("JOIN addresses ON addresses.id = tokens.address_id").
		Where("tokens.farmer_id = ?", id).Take(&row).Error
	if err != nil {
		return node.Farmer{}, err
	}
	return row.farmer(), nil
}

func (r *farmerRow) farmer() node.Farmer {
	return node.Farmer{
		ID:         r.Token.FarmerID,
		Address:    r.Address,
		Location:   r.Token.Location.location(),
		Uptime:     r.Token.Uptime.uptime(),
		Heartbeats: r.Token.Heartbeats,
		Contracts:  r.Token.Contracts - r.OverContracts,
		Size:       r.Token.Size - r.OverSize,
		IP:         r.Token.IP,
		LastDue:    moment(r.Token.LastDue),
	}
}
