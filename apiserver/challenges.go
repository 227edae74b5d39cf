package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/mux"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/wirejson"
	"github.com/driveshare/downstream-node/internal/node"
)

// challengeAnswer is a contract's current challenge, or why there is none.
type challengeAnswer struct {
	FileHash  string          `json:"file_hash,omitempty"`
	Challenge json.RawMessage `json:"challenge,omitempty"`
	Due       *int64          `json:"due,omitempty"`
	Answered  *bool           `json:"answered,omitempty"`
	Status    string          `json:"status,omitempty"`
	Error     string          `json:"error,omitempty"`
}

const noMoreChallenges = "no more challenges"

// challenge answers GET /challenge/{token}/{file_hash}.
func (s *Server) challenge(w http.ResponseWriter, r *http.Request) error {
	f, err := s.farmer(r)
	if err != nil {
		return err
	}
	answers, err := s.challengesOf(r.Context(), f, []string{mux.Vars(r)["file_hash"]})
	if err != nil {
		return err
	}
	answer := answers[0]
	if answer.Error != "" {
		return badRequest(answer.Error)
	}
	answer.FileHash = ""
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// challengePage is how many contracts are read, and moved on, at a time.
const challengePage = 500

// challengesFor answers POST /challenge/{token}: the contracts that the body
// names, in its order.
func (s *Server) challengesFor(w http.ResponseWriter, r *http.Request) error {
	f, err := s.farmer(r)
	if err != nil {
		return err
	}
	hashes, err := s.readHashes(w, r)
	if err != nil {
		return err
	}
	out := s.newArray(w, "challenges")
	for start := 0; start < len(hashes); start += challengePage {
		answers, err := s.challengesOf(r.Context(), f, hashes[start:min(start+challengePage, len(hashes))])
		if err != nil {
			return err
		}
		for _, answer := range answers {
			if err := out.item(answer); err != nil {
				return err
			}
		}
	}
	return out.end()
}

// readHashes reads {"hashes": [...]}.
func (s *Server) readHashes(w http.ResponseWriter, r *http.Request) ([]string, error) {
	var hashes []string
	err := s.readArray(w, r, "hashes", `{"hashes": ["...", ...]}`, func(in *wirejson.Reader) error {
		hash, _, err := in.String()
		if err != nil {
			return err
		}
		if len(hashes) == s.opt.MaxProofs {
			return badRequest(fmt.Sprintf("more than %d hashes in one request", s.opt.MaxProofs))
		}
		hashes = append(hashes, hash)
		return nil
	})
	return hashes, err
}

// challengesOf describes the contracts that hashes name, in their order.
func (s *Server) challengesOf(ctx context.Context, f farmer, hashes []string) ([]challengeAnswer, error) {
	var names []node.ContractName // each once: a contract is moved on once
	for _, h := range hashes {
		if hash, ok := node.ParseFileHash(h); ok {
			names = append(names, node.ContractName{TokenID: f.record.ID, FileHash: hash})
		}
	}
	slices.SortFunc(names, node.ContractName.Compare)
	now := s.now()
	found, err := s.contracts.Read(ctx, slices.Compact(names), func(_ int, c *node.Contract) bool { return c.Expired(now) })
	if err != nil {
		return nil, err
	}
	contracts := make([]node.Contract, 0, len(found))
	for _, c := range found {
		if c != nil {
			contracts = append(contracts, *c)
		}
	}
	moved, err := s.advance(ctx, f, contracts, now)
	if err != nil {
		return nil, err
	}
	s.contracts.Share(ctx, moved)
	byHash := make(map[node.FileHash]*node.Contract, len(contracts))
	for i := range contracts {
		byHash[contracts[i].FileHash] = &contracts[i]
	}
	answers := make([]challengeAnswer, len(hashes))
	for i, h := range hashes {
		hash, ok := node.ParseFileHash(h)
		c := byHash[hash]
		if !ok || c == nil {
			answers[i] = challengeAnswer{FileHash: h, Error: node.ContractNotFound.Message()}
			continue
		}
		if answers[i], err = s.describe(f, c, now); err != nil {
			return nil, err
		}
		answers[i].FileHash = h
	}
	return answers, nil
}

// advance moves every contract on whose challenge is answered and due at now,
// in place, and returns what became of those.
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
	moved, err := s.store.Advance(ctx, f.record.ID, ids, now, func(c *node.Contract) error {
		challenge, state, err := f.key.Challenge(c.State)
		if errors.Is(err, heartbeat.ErrNoMoreChallenges) {
			return nil
		}
		if err != nil {
			return err
		}
		c.Issue(challenge, state)
		return nil
	})
	for _, c := range moved {
		contracts[at[c.ID]] = c
	}
	return moved, err
}

// describe says what the farmer is told of a contract that advance has seen at
// now. It is the same moment for both: for a contract whose due passes between
// the two, the one that it awaits would be missing, as after the last one.
func (s *Server) describe(f farmer, c *node.Contract, now time.Time) (challengeAnswer, error) {
	switch {
	case c.Expired(now):
		return challengeAnswer{FileHash: c.FileHash.String(), Error: node.ContractExpired.Message()}, nil
	case c.AwaitsChallenge(now):
		return challengeAnswer{FileHash: c.FileHash.String(), Status: noMoreChallenges}, nil
	}
	challenge, err := f.key.ChallengeJSON(c.Challenge)
	if err != nil {
		return challengeAnswer{}, err
	}
	due := wholeSeconds(c.Due.Sub(s.now()))
	return challengeAnswer{FileHash: c.FileHash.String(), Challenge: challenge, Due: &due, Answered: &c.Answered}, nil
}
