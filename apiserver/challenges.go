package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/mux"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/wirejson"
	"github.com/driveshare/downstream-node/internal/node"
)

// challengeResponse is a contract's current challenge, or the reason why it has none.
type challengeResponse struct {
	FileHash  *string         `json:"file_hash,omitempty"` // nil if the path names the contract
	Challenge json.RawMessage `json:"challenge,omitempty"`
	Due       *int64          `json:"due,omitempty"`
	Answered  *bool           `json:"answered,omitempty"`
	Status    string          `json:"status,omitempty"`
	Error     string          `json:"error,omitempty"`
	undecided bool            // the due time has passed, but the node may still move it
}

const noMoreChallenges = "no more challenges"

// challengePage is the maximum number of contracts that are read and advanced
// together.
const challengePage = 500

// challenge handles GET /challenge/{token}/{file_hash}.
func (s *Server) challenge(w http.ResponseWriter, r *http.Request, f farmer) error {
	responses, err := s.challengesOf(r.Context(), f, []string{mux.Vars(r)["file_hash"]})
	if err != nil {
		return err
	}
	response := responses[0]
	if response.undecided {
		return errUndecided
	}
	if response.Error != "" {
		return badRequest(response.Error)
	}
	response.FileHash = nil
	writeJSON(w, http.StatusOK, response)
	return nil
}

// challengesFor handles POST /challenge/{token}. It returns the challenges of the
// contracts that the body names, in the order of the body.
func (s *Server) challengesFor(w http.ResponseWriter, r *http.Request, f farmer) error {
	hashes, err := s.readHashes(w, r)
	if err != nil {
		return err
	}
	out := s.newArray(w, "challenges")
	for page := range slices.Chunk(hashes, challengePage) {
		responses, err := s.challengesOf(r.Context(), f, page)
		if err != nil {
			return err
		}
		for _, response := range responses {
			if err := out.item(response); err != nil {
				return err
			}
		}
	}
	return out.end()
}

// readHashes reads {"hashes": [...]}.
func (s *Server) readHashes(w http.ResponseWriter, r *http.Request) ([]string, error) {
	const want = `{"hashes": ["...", ...]}`
	var hashes []string
	err := s.readArray(w, r, textBytes, "hashes", want, func(in *wirejson.Reader) error {
		if in.Next() != '"' {
			if err := in.Skip(); err != nil {
				return err
			}
			return badRequest(fmt.Sprintf("hashes[%d] is not a string, the request must be %s", len(hashes), want))
		}
		hash, _, err := in.String()
		if err != nil {
			return err
		}
		if len(hashes) == s.cfg.MaxProofs {
			return badRequest(fmt.Sprintf("more than %d hashes in one request", s.cfg.MaxProofs))
		}
		hashes = append(hashes, shortName(hash))
		return exchangeOf(r).hold(r.Context(), itemBytes)
	})
	return hashes, err
}

// itemBytes is about the memory that an item of a request uses while the node makes
// the response, without the item's proof.
const itemBytes = 256

// maxName is the size of a file hash.
const maxName = 64

// shortName returns a file hash as the response repeats it. It cuts a text that is too
// long for a file hash, and marks the cut, so that the result is no other file's hash.
func shortName(hash string) string {
	const mark = "…"
	if len(hash) <= maxName {
		return hash
	}
	return strings.ToValidUTF8(hash[:maxName-len(mark)], "") + mark
}

// challengesOf returns one response for each hash, in the order of hashes. It
// advances the contracts first.
func (s *Server) challengesOf(ctx context.Context, f farmer, hashes []string) ([]challengeResponse, error) {
	var names []node.ContractName
	for _, h := range hashes {
		if hash, ok := node.ParseFileHash(h); ok {
			names = append(names, node.ContractName{TokenID: f.record.ID, FileHash: hash})
		}
	}
	slices.SortFunc(names, node.ContractName.Compare)
	names = slices.Compact(names) // a contract advances only once, even if hashes contain it twice
	now := s.Now()
	found, err := s.contracts.Read(ctx, names, func(_ int, c *node.Contract) bool { return c.Expired(now) })
	if err != nil {
		return nil, err
	}
	contracts := make([]node.Contract, 0, len(found))
	for _, c := range found {
		if c != nil {
			contracts = append(contracts, *c)
		}
	}
	advanced, err := s.advance(ctx, f, contracts, now)
	if err != nil {
		return nil, err
	}
	s.contracts.Share(ctx, advanced)
	byHash := make(map[node.FileHash]*node.Contract, len(contracts))
	for i := range contracts {
		byHash[contracts[i].FileHash] = &contracts[i]
	}
	responses := make([]challengeResponse, len(hashes))
	for i, h := range hashes {
		hash, ok := node.ParseFileHash(h)
		c := byHash[hash]
		if !ok || c == nil {
			responses[i] = challengeResponse{FileHash: &h, Error: node.ContractNotFound.Message()}
		} else if responses[i], err = s.describe(f, c, h, now); err != nil {
			return nil, err
		}
	}
	return responses, nil
}

// challenges handles GET /challenge/{token}. It returns the challenges of all
// contracts of the token. Often every contract awaits its next challenge, and the
// database needs time to advance a page. So the handler advances the next page while
// it sends the current page.
func (s *Server) challenges(w http.ResponseWriter, r *http.Request, f farmer) error {
	out := s.newArray(w, "challenges")
	for page, err := range prefetch(s.advancedPages(r.Context(), f)) {
		if err != nil {
			return err
		}
		s.contracts.Share(r.Context(), page.advanced)
		for i := range page.contracts {
			c := &page.contracts[i]
			response, err := s.describe(f, c, c.FileHash.String(), page.now)
			if err != nil {
				return err
			}
			if err := out.item(response); err != nil {
				return err
			}
		}
	}
	return out.end()
}

// contractPages yields the token's contracts in pages.
func (s *Server) contractPages(ctx context.Context, f farmer) iter.Seq2[[]node.Contract, error] {
	return func(yield func([]node.Contract, error) bool) {
		for after := (node.FileHash{}); ; {
			contracts, err := s.Store.ContractsAfter(ctx, f.record.ID, after, challengePage)
			if len(contracts) == 0 && err == nil {
				return
			}
			if err == nil {
				after = contracts[len(contracts)-1].FileHash // before yield, which may change contracts
			}
			if !yield(contracts, err) || err != nil {
				return
			}
		}
	}
}

// advancedPage is a page of contracts after advance was called at now. advanced is
// what advance returned.
type advancedPage struct {
	contracts, advanced []node.Contract
	now                 time.Time
}

// advancedPages advances the token's contracts, and yields them in pages.
func (s *Server) advancedPages(ctx context.Context, f farmer) iter.Seq2[advancedPage, error] {
	return func(yield func(advancedPage, error) bool) {
		for contracts, err := range prefetch(s.contractPages(ctx, f)) {
			page := advancedPage{contracts: contracts, now: s.Now()}
			if err == nil {
				page.advanced, err = s.advance(ctx, f, contracts, page.now)
			}
			if !yield(page, err) || err != nil {
				return
			}
		}
	}
}

// advance issues the next challenge of each contract that awaits it at now. It
// updates these contracts in place and returns them. A contract that has no more
// challenges is returned unchanged.
func (s *Server) advance(ctx context.Context, f farmer, contracts []node.Contract, now time.Time) ([]node.Contract, error) {
	at := make(map[int64]int)
	var ids []int64
	for i := range contracts {
		if contracts[i].AwaitsChallenge(now) {
			ids = append(ids, contracts[i].ID)
			at[contracts[i].ID] = i
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	advanced, err := s.Store.Advance(ctx, f.record.ID, ids, now, func(c *node.Contract) error {
		key, err := s.Keys.Key(c.KeyID) // it may be an older key than that of the token
		if err != nil {
			return err
		}
		challenge, state, err := key.Challenge(c.State)
		if errors.Is(err, heartbeat.ErrNoMoreChallenges) {
			return nil
		}
		if err != nil {
			return err
		}
		c.Issue(challenge, state, now)
		return nil
	})
	for _, c := range advanced {
		contracts[at[c.ID]] = c
	}
	return advanced, err
}

// describe returns the response for a contract. The response's file_hash is name. now
// must be the time that the caller passed to advance. At a later time, the due time
// may have passed, and describe would wrongly report "no more challenges".
//
// If the node cannot decide yet whether a contract has expired, its response is its last
// challenge with 0 seconds left. So one such contract does not make the node refuse a list
// of all contracts.
func (s *Server) describe(f farmer, c *node.Contract, name string, now time.Time) (challengeResponse, error) {
	undecided := c.Expired(now) && c.Expiry().After(s.Known())
	switch {
	case undecided:
		s.Proofs.Returned(c.TokenID)
	case c.Expired(now):
		return challengeResponse{FileHash: &name, Error: node.ContractExpired.Message()}, nil
	case c.AwaitsChallenge(now):
		return challengeResponse{FileHash: &name, Status: noMoreChallenges}, nil
	}
	challenge, err := f.key.ChallengeJSON(c.Challenge)
	if err != nil {
		return challengeResponse{}, err
	}
	due := c.Due
	if !c.Answered {
		due = c.Expiry() // a fault may have moved it
	}
	seconds := wholeSeconds(due.Sub(s.Now()))
	return challengeResponse{FileHash: &name, Challenge: challenge, Due: &seconds, Answered: &c.Answered, undecided: undecided}, nil
}

// prefetch yields the items of seq. While the caller uses one item, a goroutine
// computes the next item. The goroutine ends before the loop over prefetch ends. If
// seq panics, prefetch panics in the caller's goroutine, so that handle can recover.
func prefetch[T any](seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	type item struct {
		value    T
		err      error
		panicked any
	}
	return func(yield func(T, error) bool) {
		items, stop := make(chan item), make(chan struct{})
		send := func(i item) bool {
			select {
			case items <- i:
				return true
			case <-stop:
				return false
			}
		}
		var producer sync.WaitGroup
		producer.Go(func() {
			defer close(items)
			defer func() {
				if p := recover(); p != nil {
					send(item{panicked: p})
				}
			}()
			seq(func(value T, err error) bool { return send(item{value: value, err: err}) })
		})
		defer producer.Wait()
		defer close(stop)
		for i := range items {
			if i.panicked != nil {
				panic(i.panicked)
			}
			if !yield(i.value, i.err) {
				return
			}
		}
	}
}
