package apiserver

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// challenges answers GET /challenge/{token}: every contract of the token. After
// a batch of answers all of them await a challenge, and so the database works on
// the next page while one is on its way to the farmer.
func (s *Server) challenges(w http.ResponseWriter, r *http.Request) error {
	f, err := s.farmer(r)
	if err != nil {
		return err
	}
	out := s.newArray(w, "challenges")
	pages := ahead(s.contractPages(r.Context(), f))
	for page, err := range ahead(s.advanced(r.Context(), f, pages)) {
		if err != nil {
			return err
		}
		s.contracts.Share(r.Context(), page.moved)
		for i := range page.contracts {
			answer, err := s.describe(f, &page.contracts[i], page.seen)
			if err != nil {
				return err
			}
			if err := out.item(answer); err != nil {
				return err
			}
		}
	}
	return out.end()
}

// contractPages reads the token's contracts.
func (s *Server) contractPages(ctx context.Context, f farmer) iter.Seq2[[]node.Contract, error] {
	return func(yield func([]node.Contract, error) bool) {
		for after := (node.FileHash{}); ; {
			contracts, err := s.store.ContractsAfter(ctx, f.record.ID, after, challengePage)
			if len(contracts) == 0 && err == nil {
				return
			}
			if !yield(contracts, err) || err != nil {
				return
			}
			after = contracts[len(contracts)-1].FileHash
		}
	}
}

// advancedPage is contracts as they were at a moment, and those among them that
// were moved on then.
type advancedPage struct {
	contracts, moved []node.Contract
	seen             time.Time
}

// advanced moves pages of contracts on.
func (s *Server) advanced(ctx context.Context, f farmer, pages iter.Seq2[[]node.Contract, error]) iter.Seq2[advancedPage, error] {
	return func(yield func(advancedPage, error) bool) {
		for contracts, err := range pages {
			page := advancedPage{contracts: contracts, seen: s.now()}
			if err == nil {
				page.moved, err = s.advance(ctx, f, contracts, page.seen)
			}
			if !yield(page, err) || err != nil {
				return
			}
		}
	}
}
