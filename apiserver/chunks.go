package apiserver

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/driveshare/downstream-node/internal/keyring"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/store"
)

// chunks handles GET /chunk/{token} and /chunk/{token}/{size}.
func (s *Server) chunks(w http.ResponseWriter, r *http.Request) error {
	size, err := s.requestSize(mux.Vars(r)["size"])
	if err != nil {
		return err
	}
	f, err := s.farmer(r)
	if err != nil {
		return err
	}
	if onlyHead(w, r) {
		return nil
	}
	limits, err := s.handOutLimits(r.Context(), f)
	if err != nil {
		return err
	}
	// The contracts count where the farmer is now, even if its token is recorded
	// elsewhere.
	here := f.record
	here.IP, here.Location = exchangeOf(r).ip.String(), s.Geo.Lookup(exchangeOf(r).ip)
	handed, err := s.Store.HandOut(r.Context(), here, size, limits, s.limits.Interval, s.Now())
	if err != nil {
		return s.withLimit(err)
	}
	s.metrics.contract.Add(float64(len(handed)))
	out := s.newArray(w, "chunks")
	tags := s.Store.Tags(r.Context(), handed)
	defer tags.Close()
	in := bufio.NewReader(nil)
	for _, h := range handed {
		tag, err := tags.Next()
		if err != nil {
			return fmt.Errorf("send the contract for %s: %w", h.FileHash, err)
		}
		in.Reset(tag)
		if err := s.writeChunk(out.next(), f.key, h, in); err != nil {
			return fmt.Errorf("send the contract for %s: %w", h.FileHash, err)
		}
	}
	return out.end()
}

func (s *Server) handOutLimits(ctx context.Context, f farmer) (store.HandOutLimits, error) {
	limits := s.limitsOfNetwork()
	if s.limits.InventoryShare == 0 {
		return limits, nil
	}
	waiting, err := s.waiting(ctx, f.key.ID)
	limits.Share = node.InventoryShare(s.limits.InventoryShare, waiting)
	return limits, err
}

// limitsOfNetwork returns the limits on what a token and its network hold.
func (s *Server) limitsOfNetwork() store.HandOutLimits {
	return store.HandOutLimits{
		Contracts:       s.limits.ContractsPerRequest,
		BytesPerAddress: int64(s.limits.BytesPerAddress),
		TokensPerIP:     s.limits.TokensPerIP,
		IPv6Prefix:      s.limits.IPv6Prefix,
		Unproven: node.UnprovenLimits{
			Contracts: int64(s.limits.UnprovenPerToken),
			Bytes:     int64(s.limits.UnprovenBytesPerToken),
		},
	}
}

// waitingLife is how long a replica holds the number of waiting chunks.
const waitingLife = 5 * time.Second

// waiting returns about how many chunks of a heartbeat key wait in the inventory.
func (s *Server) waiting(ctx context.Context, keyID int64) (int64, error) {
	return s.inventory.read(ctx, keyID, s.Now(), func(ctx context.Context) (int64, error) {
		return s.Store.Waiting(ctx, keyID)
	})
}

func (s *Server) requestSize(given string) (int64, error) {
	if given == "" {
		return int64(s.limits.DefaultRequestSize), nil
	}
	size, ok := wholeNumber(given)
	if !ok {
		return 0, badRequest("size must be a whole number of bytes")
	}
	return size, nil
}

// wholeNumber parses decimal digits. It returns the largest int64 for a number that is
// larger than that.
func wholeNumber(text string) (n int64, ok bool) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, _ = strconv.ParseInt(text, 10, 64) // the only possible error is a number that is too large
	return n, true
}

// writeChunk writes one contract. It streams the tag from the store, because a tag
// can have many megabytes.
func (s *Server) writeChunk(w io.Writer, key keyring.Key, h store.HandedOut, tag io.Reader) error {
	challenge, err := key.ChallengeJSON(h.Challenge)
	if err != nil {
		return err
	}
	seed, err := json.Marshal(h.Seed)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, `{"file_hash":"%s","seed":%s,"size":%d,"challenge":%s,"tag":`, h.FileHash, seed, h.Size, challenge); err != nil {
		return err
	}
	if err := key.WriteTagJSON(w, tag); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, `,"due":%d}`, wholeSeconds(h.Due.Sub(s.Now())))
	return err
}

// wholeSeconds returns d in seconds, rounded down. It returns 0 for a negative d.
func wholeSeconds(d time.Duration) int64 { return int64(max(d, 0) / time.Second) }
