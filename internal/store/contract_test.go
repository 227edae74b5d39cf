package store

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"
	"testing/iotest"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

func TestContracts(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		token, other := f.token(t, "address"), f.token(t, "other")
		many := make([]int64, 2*batchRows+1)
		for i := range many {
			many[i] = 1
		}
		out := f.contracts(t, token, start, many...)
		foreign := f.contracts(t, other, start, 1)[0]

		named := func(hash node.FileHash) node.ContractName {
			return node.ContractName{TokenID: token.ID, FileHash: hash}
		}
		names := []node.ContractName{named(node.FileHash{1}), named(foreign.FileHash)}
		for _, h := range out {
			names = append(names, named(h.FileHash))
		}
		found, err := f.Contracts(ctx, names)
		must(t, err)
		if len(found) != len(out) {
			t.Errorf("found %d of %d contracts", len(found), len(out))
		}
		_, err = f.Contract(ctx, token.ID, foreign.FileHash)
		wantErr(t, err, ErrNotFound)

		var paged int
		for after := (node.FileHash{}); ; {
			page, err := f.ContractsAfter(ctx, token.ID, after, 100)
			must(t, err)
			if len(page) == 0 {
				break
			}
			for _, c := range page {
				if bytes.Compare(c.FileHash[:], after[:]) <= 0 || !reflect.DeepEqual(found[c.Name()], c) {
					t.Fatalf("after %s: contract %+v", after, c)
				}
				after = c.FileHash
			}
			paged += len(page)
		}
		if paged != len(out) {
			t.Errorf("paged through %d of %d contracts", paged, len(out))
		}
	})
}

func TestAdvance(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		token, other := f.token(t, "address"), f.token(t, "other")
		out := f.contracts(t, token, start, 4, 3, 2)
		foreign := f.contracts(t, other, start, 1)[0]
		f.commit(t, answer(token, out[0], true, start), answer(token, out[1], true, start), answer(token, out[1], false, start))
		ids := []int64{out[2].ContractID, 1 << 40, out[1].ContractID, foreign.ContractID, out[0].ContractID}

		due := start.Add(interval)
		early, err := f.Advance(ctx, token.ID, ids, due.Add(-1), issue)
		must(t, err)
		for _, c := range early {
			if c.Sequence != 0 {
				t.Errorf("contract %d advanced before it was due", c.ID)
			}
		}

		// The contract without an accepted proof has expired. If next fails for one
		// contract, all contracts stay unchanged.
		broken := errors.New("broken state")
		_, err = f.Advance(ctx, token.ID, ids, due, func(c *node.Contract) error {
			if c.ID == out[0].ContractID {
				return broken
			}
			return issue(c)
		})
		wantErr(t, err, broken)
		if n := f.count(t, "contracts", "sequence > 0"); n != 0 {
			t.Errorf("%d contracts advanced although Advance failed", n)
		}

		for range 2 { // the second time no contract awaits a challenge
			got, err := f.Advance(ctx, token.ID, ids, due, issue)
			must(t, err)
			if len(got) != 3 || got[0].ID != ids[0] || got[1].ID != ids[2] || got[2].ID != ids[4] {
				t.Fatalf("advanced %+v, asked for %v", got, ids)
			}
			if got[0].Sequence != 0 {
				t.Error("an expired contract advanced")
			}
			for _, c := range got[1:] {
				if c.Sequence != 1 || c.Due != due.Add(interval) || c.Answered || string(c.State) != "state 1" {
					t.Errorf("contract %+v", c)
				}
				stored, err := f.Contract(ctx, token.ID, c.FileHash)
				must(t, err)
				if !reflect.DeepEqual(stored, c) {
					t.Errorf("stored %+v, returned %+v", stored, c)
				}
			}
		}
		if got := f.farmer(t, token, due).LastDue; got != due.Add(interval) {
			t.Errorf("last due %v, want %v", got, due.Add(interval))
		}
		_, err = f.Advance(ctx, token.ID+100, ids, due, issue)
		wantErr(t, err, ErrNotFound)
	})
}

func TestTag(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		token := f.token(t, "address")
		for _, size := range []int{0, 1, tagPart - 1, tagPart, tagPart + 1, 3*tagPart + 7} {
			tag := bytes.Repeat([]byte{0, '\'', '\\', 0xff, 'a'}, size/5+1)[:size]
			chunk := f.chunk(10)
			chunk.Tag = iotest.HalfReader(bytes.NewReader(tag))
			must(t, f.Stock(ctx, 0, chunk, start))
			out, err := f.HandOut(ctx, token, 10, HandOutLimits{Contracts: 1}, interval, start)
			must(t, err)
			r, err := f.Tags(ctx, out).Next()
			must(t, err)
			got, err := io.ReadAll(r)
			must(t, err)
			if !bytes.Equal(got, tag) || r.Size() != int64(size) {
				t.Errorf("read a tag of %d bytes as %d bytes, Size is %d", size, len(got), r.Size())
			}
		}
	})
}

// Tags returns the tags in the order of the hand-out, even if it reads several tags
// with one query.
func TestTags(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.token(t, "address")
		sizes := []int{10, tagPart / 2, tagPart/2 - 9, 0, 2*tagPart + 1, 7, tagPart, 1}
		tags := map[node.FileHash][]byte{}
		for i, size := range sizes {
			chunk := f.chunk(10)
			tags[chunk.Hash] = bytes.Repeat([]byte{byte('a' + i)}, size)
			chunk.Tag = bytes.NewReader(tags[chunk.Hash])
			must(t, f.Stock(t.Context(), 0, chunk, start))
		}
		out, err := f.HandOut(t.Context(), token, 1<<20, HandOutLimits{Contracts: len(sizes)}, interval, start)
		must(t, err)
		if len(out) != len(sizes) {
			t.Fatalf("%d contracts, want %d", len(out), len(sizes))
		}
		for range 2 { // the second run reuses the memory of the first run
			reader := f.Tags(t.Context(), out)
			for _, h := range out {
				tag, err := reader.Next()
				must(t, err)
				got, err := io.ReadAll(tag)
				must(t, err)
				if !bytes.Equal(got, tags[h.FileHash]) || tag.Size() != int64(len(got)) {
					t.Errorf("read %d bytes, Size is %d, want %d", len(got), tag.Size(), len(tags[h.FileHash]))
				}
			}
			reader.Close()
		}
	})
}

// If a tag is deleted during a read, the reader must get an error. The tag must not
// look like a shorter tag.
func TestTagDeletedWhileRead(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		token := f.token(t, "address")
		chunk := f.chunk(10)
		chunk.Tag = bytes.NewReader(make([]byte, 2*tagPart))
		must(t, f.Stock(t.Context(), 0, chunk, start))
		out, err := f.HandOut(t.Context(), token, 10, HandOutLimits{Contracts: 1}, interval, start)
		must(t, err)
		tag, err := f.Tags(t.Context(), out).Next()
		must(t, err)
		c, err := f.Contract(t.Context(), token.ID, chunk.Hash)
		must(t, err)
		f.commit(t, answer(token, held{out[0], c.ID}, true, start.Add(time.Second)))
		if n, err := f.deleteTags(t.Context(), 10); err != nil || n != 1 {
			t.Fatalf("deleted %d tags, %v", n, err)
		}
		_, err = io.ReadAll(tag)
		wantErr(t, err, ErrNotFound)
		_, err = f.Tags(t.Context(), out).Next()
		wantErr(t, err, ErrNotFound)
	})
}
