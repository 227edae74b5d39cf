package store

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// HandOutLimits limit one hand-out. 0 means no limit, except for Contracts.
type HandOutLimits struct {
	Contracts       int   // maximum number of new contracts
	BytesPerAddress int64 // maximum bytes of the contracts of all tokens of an SJCX address
	TokensPerIP     int   // maximum number of tokens in one network that get contracts
	IPv6Prefix      int   // see TokenLimits

	Unproven node.UnprovenLimits // for a token; those for its SJCX address and its network are UnprovenFactor times larger
	Share    int64               // maximum number of contracts that the token holds and never proved, see node.InventoryShare
}

// limitsUnproven reports whether a hand-out must know what is held without a proof.
func (l HandOutLimits) limitsUnproven() bool {
	return l.Unproven != node.UnprovenLimits{} || l.Share > 0
}

// HandedOut is a new contract, with everything that the farmer needs except the
// tag. Tags reads the tag.
type HandedOut struct {
	FileID    int64
	FileHash  node.FileHash
	Seed      string
	Size      int64
	TagSize   int64
	Challenge []byte
	Due       time.Time
}

// HandOut turns chunks of the inventory into contracts for the token. It starts
// with the largest chunks that fit, and hands out at most maxBytes in total. If no
// chunk fits, it returns no contracts and no error.
//
// The token counts at the network of token.IP, which is where the request comes from.
// If the token is recorded at another network, it moves with its first contracts from
// here. A hand-out without contracts does not move it, because a token must not free
// its old network without taking room in another one.
//
// A suspended farmer gets no contracts.
//
// HandOut returns ErrTooManyTokens if older tokens in the network, or any tokens if
// the token is new there, already reach the limit. A farmer therefore keeps its right
// to contracts if other tokens come to its network later. All other limits only make
// the hand-out smaller.
func (s *Store) HandOut(ctx context.Context, token Token, maxBytes int64, limits HandOutLimits, interval time.Duration, now time.Time) (out []HandedOut, err error) {
	defer wrap(&err, "hand out to farmer %s", token.FarmerID)
	now = cut(now)
	return pipelined(ctx, s, func(t *tx) ([]HandedOut, error) {
		owner, err := s.lockOwner(t, token, limits)
		if err != nil {
			return nil, err
		}
		if owner.suspend(now); owner.SuspendedBy != "" {
			return nil, s.saveTokens(t, []*lockedToken{owner.lockedToken})
		}
		room, err := owner.roomFor(t, maxBytes, limits, now)
		if err != nil {
			return nil, err
		}
		chunks, err := s.takeAllowed(t, owner, node.Allowance{Contracts: int64(limits.Contracts), Bytes: room}, limits)
		if err != nil {
			return nil, err
		}
		if len(chunks) == 0 {
			return nil, s.saveTokens(t, []*lockedToken{owner.lockedToken}) // its suspension may have ended
		}
		if owner.moves {
			if err := s.writePlace(t, owner.ID, token.IP, token.Location); err != nil {
				return nil, err
			}
		}
		if err := owner.changeLocks(t, limits); err != nil {
			return nil, err
		}
		return s.makeContracts(t, owner.lockedToken, chunks, interval, now)
	})
}

// owner is the token that gets a hand-out. The limits of network apply to it.
type owner struct {
	*lockedToken
	network network
	moves   bool // whether the token is recorded at another network
	holder  node.Holder
}

// lockOwner locks everything whose contracts the limits count: the network of the
// request, the token's SJCX address and the token.
func (s *Store) lockOwner(t *tx, token Token, limits HandOutLimits) (*owner, error) {
	network := networkOf(token.IP, limits.IPv6Prefix)
	if limits.limitsUnproven() {
		if err := s.lockNetwork(t, network); err != nil {
			return nil, err
		}
	}
	row, err := s.lockTokenOfAddress(t, token)
	if err != nil {
		return nil, err
	}
	owner := &owner{row, network, networkOf(row.IP, limits.IPv6Prefix) != network, node.Holder{
		TokenID: row.ID, AddressID: row.AddressID, Vicinity: node.VicinityOf(token.IP),
	}}
	if token.Location != nil {
		owner.holder.Country = token.Location.Country
	}
	if owner.moves && !limits.limitsUnproven() {
		// Locking in this order can end in a deadlock, and then the transaction is
		// repeated.
		if err := s.lockNetwork(t, network); err != nil {
			return nil, err
		}
	}
	if ip := storedIP(owner.IP); ip != owner.IP {
		return owner, t.exec("UPDATE tokens SET ip = ? WHERE id = ?", ip, owner.ID)
	}
	return owner, nil
}

// lockTokenOfAddress locks the token's SJCX address and then the token. All
// hand-outs that count against the same limit lock the same SJCX address.
func (s *Store) lockTokenOfAddress(t *tx, token Token) (*lockedToken, error) {
	rows, err := appendRows(nil, t, lockedColumns.addresses, "SELECT "+lockedColumns.list("t.")+" FROM addresses a"+s.dialect.byID+s.dialect.joinInOrder+
		"tokens t"+s.dialect.byID+" ON t.address_id = a.id WHERE a.id = ? AND t.id = ?"+s.dialect.forUpdate,
		token.AddressID, token.ID)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, ErrNotFound
	}
	return s.locked(rows[0]), nil
}

// roomFor returns how many bytes the token may get: maxBytes, or less if the limit
// of its SJCX address leaves less.
func (o *owner) roomFor(t *tx, maxBytes int64, limits HandOutLimits, now time.Time) (int64, error) {
	// The token's rank by age among the tokens of the network. A token that moves comes
	// after all of them.
	var rank, held int64
	err := t.query(func(rows *sql.Rows) error { return rows.Scan(&rank, &held) },
		"SELECT (SELECT COUNT(*) FROM tokens WHERE ip BETWEEN ? AND ? AND (? OR created < ? OR created = ? AND id <= ?)),"+
			" (SELECT COALESCE(SUM(size), 0) FROM tokens WHERE address_id = ?)",
		o.network.first, o.network.last, o.moves, o.Created, o.Created, o.ID, o.AddressID)
	if err != nil {
		return 0, err
	}
	if o.moves {
		rank++
	}
	if limits.TokensPerIP > 0 && rank > int64(limits.TokensPerIP) {
		return 0, ErrTooManyTokens
	}
	if limits.BytesPerAddress <= 0 || maxBytes <= limits.BytesPerAddress-held { // held+maxBytes could overflow
		return maxBytes, nil
	}
	// The tokens' counts include contracts that have expired but are not swept yet,
	// completed ones, and contracts that a farmer has dropped because of a fault of the node. Reading
	// the contracts themselves is only useful near the limit.
	held, err = t.number("SELECT COALESCE(SUM(c.size), 0) FROM tokens t JOIN contracts c ON c.token_id = t.id"+
		" WHERE t.address_id = ? AND c.live = 1 AND c.completed = 0 AND c.expiry > ? AND NOT c."+silent, o.AddressID, micros(now))
	return min(maxBytes, limits.BytesPerAddress-held), err
}

// takeAllowed takes chunks for the token: what it asks for, or less if the limits
// on contracts without a proof allow less. If only chunks that are larger than these
// limits remain, and no contract counts against them, it takes one.
func (s *Store) takeAllowed(t *tx, owner *owner, ask node.Allowance, limits HandOutLimits) ([]chunkAndFile, error) {
	if !limits.limitsUnproven() {
		return s.takeChunks(t, owner, ask.Bytes, int(ask.Contracts))
	}
	allowed, none, err := s.narrowUnproven(t, owner, ask, limits)
	if err != nil {
		return nil, err
	}
	chunks, err := s.takeChunks(t, owner, allowed.Bytes, int(allowed.Contracts))
	if err == nil && len(chunks) == 0 && none && allowed.Bytes < ask.Bytes {
		return s.takeChunks(t, owner, ask.Bytes, min(1, int(ask.Contracts)))
	}
	return chunks, err
}

// narrowUnproven applies the limits on contracts without a proof. none reports
// whether there is no such contract.
func (s *Store) narrowUnproven(t *tx, owner *owner, ask node.Allowance, limits HandOutLimits) (allowed node.Allowance, none bool, err error) {
	held, err := s.heldIn(t, scopeOfToken(owner.ID), scope{"address_id = ?", []any{owner.AddressID}}, scopeOfNetwork(owner.network))
	if err != nil {
		return allowed, false, err
	}
	if owner.moves {
		held[2] = held[2].Plus(held[0]) // the token brings its contracts to the network
	}
	allowed, none = ask, true
	for i, factor := range []int64{1, node.UnprovenFactor, node.UnprovenFactor} {
		allowed = limits.Unproven.Narrow(allowed, held[i], factor)
		none = none && held[i].UnprovenContracts == 0
	}
	if limits.Share > 0 {
		allowed.Contracts = min(allowed.Contracts, max(0, limits.Share-held[0].UnprovenContracts))
	}
	return allowed, none, nil
}

// scope is a condition on tokens.
type scope struct {
	where string
	args  []any
}

func scopeOfToken(id int64) scope { return scope{"id = ?", []any{id}} }

func scopeOfNetwork(n network) scope { return scope{"ip BETWEEN ? AND ?", []any{n.first, n.last}} }

// heldIn returns what the tokens of each scope hold.
func (s *Store) heldIn(t *tx, scopes ...scope) ([]node.Held, error) {
	var texts []string
	var args []any
	for i, scope := range scopes {
		texts = append(texts, "SELECT "+strconv.Itoa(i)+", COALESCE(SUM(contracts), 0), COALESCE(SUM(size), 0),"+
			" COALESCE(SUM(unproven), 0), COALESCE(SUM(bytes), 0)"+
			" FROM (SELECT t.contracts, t.size, COUNT(c.size) AS unproven, SUM(c.size) AS bytes FROM tokens t LEFT JOIN contracts c"+
			s.dialect.byUnproven+" ON c.token_id = t.id AND c.unproven = 1 AND c.live = 1 WHERE t."+scope.where+" GROUP BY t.id) h")
		args = append(args, scope.args...)
	}
	all := make([]node.Held, len(scopes))
	err := t.query(func(rows *sql.Rows) error {
		var i int
		var held node.Held
		err := rows.Scan(&i, &held.Contracts, &held.Bytes, &held.UnprovenContracts, &held.UnprovenBytes)
		if err == nil {
			all[i] = held
		}
		return err
	}, strings.Join(texts, " UNION ALL "), args...)
	return all, err
}

// makeContracts turns the chunks into contracts of the token. Some of them renew completed
// contracts.
func (s *Store) makeContracts(t *tx, owner *lockedToken, chunks []chunkAndFile, interval time.Duration, now time.Time) ([]HandedOut, error) {
	due := s.postpone(cut(now.Add(interval)), interval, now)
	var size int64
	var contents, repaired []int64
	var renewals []chunkAndFile
	rows := make([]contractRow, 0, len(chunks))
	out := make([]HandedOut, len(chunks))
	for i, c := range chunks {
		if c.renews > 0 {
			renewals = append(renewals, c)
		} else {
			size += c.Size
			if c.file.ContentID > 0 {
				contents = append(contents, c.file.ContentID)
			}
			if c.lost {
				repaired = append(repaired, c.file.ContentID)
			}
			rows = append(rows, contractRow{
				TokenID: owner.ID, FileID: c.FileID, FileHash: c.file.Hash, KeyID: c.KeyID, Size: c.Size,
				Period: interval.Microseconds(), Challenge: c.Challenge, State: c.State, Due: micros(due), Expiry: micros(due),
				Accepted: make([]byte, len(node.Digest{})), Wrong: []byte{}, Live: true, Unproven: true,
			})
		}
		out[i] = HandedOut{
			FileID:    c.FileID,
			FileHash:  node.FileHash(c.file.Hash),
			Seed:      c.file.Seed,
			Size:      c.Size,
			TagSize:   c.file.TagSize,
			Challenge: c.Challenge,
			Due:       due,
		}
	}
	if err := insert(t, contractTable, rows, ""); err != nil {
		return nil, err
	}
	if err := copiesPlaced(t, contents, repaired, now); err != nil {
		return nil, err
	}
	if err := s.renew(t, owner, renewals, interval, due, now); err != nil {
		return nil, err
	}
	if err := s.lookForFault(t, owner, now); err != nil {
		return nil, err
	}
	owner.addContracts(now, due, int64(len(rows)), size)
	return out, s.saveTokens(t, []*lockedToken{owner})
}
