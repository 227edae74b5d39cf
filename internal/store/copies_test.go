package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// threefold is an inventory whose files three farmers should hold.
func threefold(total int64) node.Inventory {
	return node.Inventory{MinSize: 8, MaxSize: 8, TotalSize: total, Base: 2, Redundancy: 3}
}

// farmerAt creates a token of an SJCX address at an IP address.
func (f *fixture) farmerAt(t testing.TB, address, ip, country string) Token {
	t.Helper()
	hash := node.NewToken().Hash()
	created := NewToken{Hash: hash, Address: address, IP: ip, KeyID: f.key}
	if country != "" {
		created.Location = &node.Location{Country: country}
	}
	must(t, f.CreateToken(t.Context(), created, TokenLimits{}, start))
	token, err := f.Token(t.Context(), hash)
	must(t, err)
	token.Location = created.Location
	return token
}

// stockOne makes the chunk that the inventory needs most, and returns its file's hash.
func (f *fixture) stockOne(t testing.TB, s *Store, inventory node.Inventory, now time.Time) (hash node.FileHash, isCopy, ok bool) {
	t.Helper()
	r, ok, err := s.Reserve(t.Context(), f.key, inventory, lease, now)
	must(t, err)
	if !ok {
		return hash, false, false
	}
	c := f.chunk(r.Size)
	c.ContentID, c.Redundancy = r.ContentID, inventory.Redundancy
	if r.ContentID > 0 {
		hash := make([]byte, len(c.Hash))
		must(t, f.read.Raw("SELECT hash FROM contents WHERE id = ? AND seed = ?", r.ContentID, r.Seed).Row().Scan(&hash))
		c.Seed, c.Hash = r.Seed, node.FileHash(hash)
	}
	err = s.Stock(t.Context(), r.ID, c, now)
	if errors.Is(err, ErrReservationGone) {
		return hash, false, true
	}
	must(t, err)
	return c.Hash, r.ContentID > 0, true
}

// ask hands out up to n chunks to the token.
func (f *fixture) ask(t testing.TB, token Token, n int, now time.Time) []held {
	t.Helper()
	out, err := f.HandOut(t.Context(), token, 1<<40, HandOutLimits{Contracts: n}, interval, now)
	must(t, err)
	return f.held(t, token, out)
}

// Copies of a file go to farmers that have neither the token, nor the SJCX address, nor the
// network in common. A farmer in another country comes first.
func TestCopiesArePlacedApart(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		all := threefold(48)
		first := f.farmerAt(t, "a", "192.0.2.1", "Iceland")
		file, _, _ := f.stockOne(t, f.Store, all, start)
		if got := f.ask(t, first, 9, start); len(got) != 1 || got[0].FileHash != file {
			t.Fatalf("%+v, want %v", got, file)
		}
		for _, wantCopy := range []bool{true, false} { // then copies of this file must wait for a farmer
			if hash, isCopy, ok := f.stockOne(t, f.Store, all, start); !ok || isCopy != wantCopy || (hash == file) != wantCopy {
				t.Fatalf("stocked %v, a copy: %t, ok: %t", hash, isCopy, ok)
			}
		}
		for name, token := range map[string]Token{
			"token":   first,
			"address": f.farmerAt(t, "a", "198.51.100.1", ""),
			"network": f.farmerAt(t, "b", "192.0.2.200", ""),
		} {
			for _, got := range f.ask(t, token, 9, start) {
				if got.FileHash == file {
					t.Errorf("same %s: got a second copy", name)
				}
			}
		}
		if got := f.ask(t, f.farmerAt(t, "c", "198.51.100.2", ""), 9, start); len(got) != 1 || got[0].FileHash != file {
			t.Errorf("%+v, want the copy", got)
		}
		f.checkInvariant(t)
	})
}

// A farmer gets the copies that it may hold, also if they are few among many.
func TestFewCopiesAmongMany(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		const files = 60
		all := threefold(1 << 20)
		holders := []Token{f.farmerAt(t, "a", "192.0.2.1", ""), f.farmerAt(t, "b", "198.51.100.1", "")}
		for i := range files {
			f.stockOne(t, f.Store, all, start)
			holder := holders[0]
			if i%30 == 0 {
				holder = holders[1]
			}
			f.ask(t, holder, 1, start)
			must(t, f.write.Exec("UPDATE contents SET lost = ?", micros(start.Add(time.Hour))).Error) // no copy for now, but a new file
		}
		must(t, f.write.Exec("UPDATE contents SET lost = 0").Error)
		for range files {
			f.stockOne(t, f.Store, all, start)
		}
		if got := f.ask(t, f.farmerAt(t, "neighbour", "192.0.2.2", ""), 10, start); len(got) != 2 {
			t.Errorf("%d copies, want the 2 that are not in the farmer's network", len(got))
		}
		f.checkInvariant(t)
	})
}

// Of two files with the same need, a farmer gets the one that its country lacks.
func TestCopiesPreferAnotherCountry(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		all := threefold(480)
		files := map[string]node.FileHash{}
		for i, country := range []string{"Iceland", "Norway"} {
			files[country], _, _ = f.stockOne(t, f.Store, all, start)
			f.ask(t, f.farmerAt(t, fmt.Sprint("holder ", i), fmt.Sprintf("192.0.%d.1", i), country), 1, start)
			must(t, f.write.Exec("UPDATE contents SET lost = ?", micros(start.Add(time.Hour))).Error) // no copy for now, but a new file
		}
		must(t, f.write.Exec("UPDATE contents SET lost = 0").Error)
		f.stockOne(t, f.Store, all, start)
		f.stockOne(t, f.Store, all, start)
		for i, country := range []string{"Iceland", "Norway"} {
			got := f.ask(t, f.farmerAt(t, fmt.Sprint("new ", i), fmt.Sprintf("192.0.%d.1", i+10), country), 1, start)
			if len(got) != 1 || got[0].FileHash == files[country] {
				t.Errorf("a farmer in %s got a file that is there already", country)
			}
		}
	})
}

// Chunks go out in the order of their files' need: files with one proved copy, files with two,
// and files without any.
func TestGreatestNeedFirst(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		all := threefold(1 << 20)
		var two, one, none node.FileHash
		now := start
		for i, hash := range []*node.FileHash{&two, &two, &one, &none} {
			*hash, _, _ = f.stockOne(t, f.Store, all, now)
			if i < 3 {
				token := f.farmerAt(t, fmt.Sprint("a", i), fmt.Sprintf("10.%d.0.1", i), "")
				got := f.ask(t, token, 1, now)
				if len(got) != 1 || got[0].FileHash != *hash {
					t.Fatalf("step %d: %+v", i, got)
				}
				for n := range 30 { // the holder has a good score
					v := answer(token, got[0], true, now.Add(time.Duration(n)*interval))
					v.Sequence = int64(n)
					f.commit(t, v)
					_, err := f.Advance(t.Context(), token.ID, []int64{got[0].ContractID}, now.Add(time.Duration(n+1)*interval), func(c *node.Contract) error {
						c.Issue(c.Challenge, c.State, now)
						return nil
					})
					must(t, err)
				}
			}
			if i > 0 { // no more copies for now, but new files
				must(t, f.write.Exec("UPDATE contents SET lost = ?", micros(now.Add(time.Hour))).Error)
			}
		}
		now = now.Add(40 * interval)
		must(t, f.write.Exec("UPDATE contents SET lost = 0").Error)
		f.stockOne(t, f.Store, all, now) // the second copy of one
		f.stockOne(t, f.Store, all, now) // the third copy of two
		token := f.farmerAt(t, "asks", "172.16.0.1", "")
		for _, want := range []node.FileHash{one, two, none} {
			if got := f.ask(t, token, 1, now); len(got) != 1 || got[0].FileHash != want {
				t.Errorf("%+v, want %v", got, want)
			}
		}
	})
}

// New files wait until those with farmers have their copies. But if no farmer may hold these
// copies, there are new files again.
func TestNewFilesWaitForCopies(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		all, only := threefold(48), f.farmerAt(t, "only", "192.0.2.1", "")
		taken := func(token Token, now time.Time) (n int) {
			for range 20 {
				for ok := true; ok; {
					_, _, ok = f.stockOne(t, f.Store, all, now)
				}
				n += len(f.ask(t, token, 1, now))
			}
			return n
		}
		if n := taken(only, start); n != 2 { // each of which lacks two copies
			t.Errorf("%d contracts at first, want 2", n)
		}
		if n := taken(only, start.Add(placing)); n != 0 {
			t.Errorf("%d contracts while copies are missing", n)
		}
		later := start.Add(placing + 1)
		taken(only, later) // until copies fill their part of the inventory
		if n := taken(only, later.Add(placing+1)); n != 20 {
			t.Errorf("%d contracts after copies have waited for long, want 20", n)
		}
		before := f.count(t, "contents", "live = 1")
		if taken(f.farmerAt(t, "second", "198.51.100.1", ""), later.Add(placing+2)); f.count(t, "contents", "live = 2") < 4 {
			t.Errorf("a farmer that may hold copies of %d files did not get those that wait", before)
		}
		f.checkInvariant(t)
	})
}

// A copy that is lost is replaced once, and not before the repair delay has passed. A
// verdict that comes late takes the loss back.
func TestLostCopiesAreReplaced(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		all := threefold(1 << 20)
		all.Redundancy = 2
		var tokens []Token
		var contracts []held
		file, _, _ := f.stockOne(t, f.Store, all, start)
		for i := range 3 {
			tokens = append(tokens, f.farmerAt(t, fmt.Sprint(i), fmt.Sprintf("10.%d.0.1", i), ""))
			if i < 2 {
				got := f.ask(t, tokens[i], 1, start)
				if len(got) != 1 || got[0].FileHash != file {
					t.Fatalf("%+v", got)
				}
				contracts = append(contracts, got...)
				f.stockOne(t, f.Store, all, start)
			}
		}
		f.commit(t, answer(tokens[0], contracts[0], true, start))
		due := start.Add(interval)
		reserved := func(now time.Time) int64 {
			t.Helper()
			r, ok, err := f.Reserve(t.Context(), f.key, all, lease, now)
			must(t, err)
			must(t, f.ReleaseReservation(t.Context(), r.ID))
			if !ok {
				t.Fatal("no reservation")
			}
			return r.ContentID
		}
		expireAll(t.Context(), t, f, due)
		if reserved(due.Add(repairDelay-1)) != 0 {
			t.Error("replaced before the repair delay")
		}
		if reserved(due.Add(repairDelay)) == 0 {
			t.Error("not replaced after the repair delay")
		}
		if outcome := f.commit(t, answer(tokens[1], contracts[1], true, start))[0]; outcome != node.OK {
			t.Fatal(outcome)
		}
		f.checkInvariant(t)
		if reserved(due.Add(repairDelay)) != 0 {
			t.Error("replaced although the contract is live again")
		}
		err := f.DeleteToken(t.Context(), tokens[1].FarmerID, due)
		must(t, err)
		f.checkInvariant(t)
		later := due.Add(repairDelay)
		if hash, isCopy, _ := f.stockOne(t, f.Store, all, later); !isCopy || hash != file {
			t.Errorf("%v, want another copy", hash)
		}
		if reserved(later) != 0 {
			t.Error("replaced twice")
		}
		if got := f.ask(t, tokens[2], 1, later); len(got) != 1 || got[0].FileHash != file {
			t.Errorf("%+v, want the copy", got)
		}

		// If the last copy is lost, the file is lost.
		expireAll(t.Context(), t, f, later.Add(3*interval))
		_, err = f.CleanContracts(t.Context(), time.Second, later.Add(4*interval))
		must(t, err)
		_, err = f.ClearChunks(t.Context())
		must(t, err)
		if n := f.count(t, "contents", "TRUE"); n != 0 {
			t.Errorf("%d files are left", n)
		}
		f.checkInvariant(t)
	})
}

// Files from before a redundancy was set get copies too, and wrong counts are corrected.
func TestCopiesAreCounted(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		f.contracts(t, f.farmerAt(t, "a", "192.0.2.1", ""), start, 8, 8, 8)
		f.stock(t, 8, 8)
		for last := int64(-1); last != 0; {
			var err error
			last, err = f.Copies(t.Context(), max(0, last), 2)
			must(t, err)
		}
		for range 3 {
			_, err := f.Copies(t.Context(), 0, 2)
			must(t, err)
		}
		f.checkInvariant(t)
		if n := f.count(t, "contents", "live + waiting = 1"); n != 5 {
			t.Errorf("%d files, want 5", n)
		}
		must(t, f.write.Exec("UPDATE contents SET live = 7, waiting = 1").Error)
		_, err := f.Copies(t.Context(), 0, 100)
		must(t, err)
		f.checkInvariant(t)
		if _, isCopy, _ := f.stockOne(t, f.Store, threefold(1<<20), start.Add(repairDelay)); !isCopy {
			t.Error("an adopted file gets no copy")
		}
	})
}

// Stockers, farmers and sweepers work at the same time. No file ever has two copies in one
// place, or too many copies.
func TestCopiesUnderConcurrency(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		const rounds = 25
		all := threefold(400)
		stores := []*Store{f.Store, openStore(t, f.cfg)}
		var tokens []Token
		for i := range 24 { // two farmers of one SJCX address, and three in a network
			tokens = append(tokens, f.farmerAt(t, fmt.Sprint("address ", i/2), fmt.Sprintf("10.0.%d.%d", i%8, i), []string{"", "Iceland", "Norway"}[i%3]))
		}
		check := func() {
			t.Helper()
			var rows []struct {
				ContentID, TokenID, AddressID int64
				IP                            string
			}
			must(t, f.read.Raw("SELECT f.content_id, t.id AS token_id, t.address_id, t.ip FROM contracts c JOIN files f ON f.id = c.file_id"+
				" JOIN tokens t ON t.id = c.token_id WHERE c.live = 1").Scan(&rows).Error)
			holders := map[int64][]node.Holder{}
			for _, r := range rows {
				h := node.Holder{TokenID: r.TokenID, AddressID: r.AddressID, Vicinity: node.VicinityOf(r.IP)}
				if !h.MayJoin(holders[r.ContentID]) {
					t.Errorf("file %d: %+v beside %+v", r.ContentID, h, holders[r.ContentID])
				}
				holders[r.ContentID] = append(holders[r.ContentID], h)
			}
			if n := f.count(t, "contents", "live + waiting > 3"); n > 0 {
				t.Errorf("%d files have too many copies", n)
			}
			f.checkInvariant(t)
		}
		placed := int64(0)
		for round := range rounds {
			now := start.Add(time.Duration(round) * repairDelay)
			var work sync.WaitGroup
			for w, s := range stores {
				work.Go(func() {
					for ok := true; ok; {
						_, _, ok = f.stockOne(t, s, all, now)
					}
				})
				work.Go(func() {
					for i := range tokens {
						token := tokens[(i+w*11)%len(tokens)]
						_, err := s.HandOut(t.Context(), token, 16, HandOutLimits{Contracts: 2}, interval, now)
						if err != nil && !errors.Is(err, ErrNotFound) { // the token was deleted
							t.Error(err)
						}
					}
				})
			}
			work.Go(func() { // some contracts are kept alive, the others end
				must(t, f.write.Exec("UPDATE contracts SET expiry = expiry + ? WHERE live = 1 AND id % 3 > 0", micros(start.Add(repairDelay))-micros(start)).Error)
				expireAll(t.Context(), t, f, now.Add(-time.Second))
			})
			deleted := -1
			if round%10 == 9 {
				deleted = rand.N(len(tokens))
				must(t, f.DeleteToken(t.Context(), tokens[deleted].FarmerID, now))
			}
			work.Wait()
			if deleted >= 0 {
				tokens = slices.Delete(tokens, deleted, deleted+1)
			}
			check()
			placed = max(placed, f.count(t, "contents", "live = 3"))
		}
		if placed == 0 {
			t.Error("no file has three copies")
		}
	})
}

// complete answers the contract's challenge, and finds that there is no other one.
func (f *fixture) complete(t testing.TB, token Token, h held, sequence int64, at time.Time) {
	t.Helper()
	v := answer(token, h, true, at)
	v.Sequence = sequence
	if outcome := f.commit(t, v)[0]; outcome != node.OK {
		t.Fatal(outcome)
	}
	c, err := f.Contract(t.Context(), token.ID, h.FileHash)
	must(t, err)
	_, err = f.Advance(t.Context(), token.ID, []int64{h.ContractID}, c.Due, func(*node.Contract) error { return nil })
	must(t, err)
}

// A completed contract continues with a new copy of its file. Other farmers get that copy only if
// the farmer does not come back.
func TestCompletedContractsAreRenewed(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		all := threefold(8)
		all.Redundancy = 2
		first, second, third := f.farmerAt(t, "a", "192.0.2.1", ""), f.farmerAt(t, "b", "198.51.100.1", ""), f.farmerAt(t, "c", "203.0.113.1", "")
		file, _, _ := f.stockOne(t, f.Store, all, start)
		contract := f.ask(t, first, 9, start)[0]
		f.stockOne(t, f.Store, all, start) // the copy is as large as the inventory
		if got := f.ask(t, second, 9, start); len(got) != 1 || got[0].FileHash != file {
			t.Fatalf("%+v, want the copy", got)
		}
		if _, isCopy, _ := f.stockOne(t, f.Store, all, start); isCopy { // it fills the inventory, but not for renewals
			t.Fatal("one copy too many")
		}
		now := start
		for sequence := range int64(3) {
			f.complete(t, first, contract, sequence, now)
			now = now.Add(interval) // the challenge is due
			f.checkInvariant(t)
			if hash, isCopy, _ := f.stockOne(t, f.Store, all, now); !isCopy || hash != file {
				t.Fatalf("stocked %v, want a renewal", hash)
			}
			for _, got := range f.ask(t, third, 9, now) {
				if got.FileHash == file {
					t.Error("another farmer got the renewal")
				}
			}
			got := f.ask(t, first, 1, now)
			if len(got) != 1 || got[0].FileHash != file || got[0].ContractID != contract.ContractID {
				t.Fatalf("%+v, want the contract %+v", got, contract)
			}
			// The farmer has proved the file, so both ways to count agree.
			_, copies, err := f.FileCopies(t.Context(), file)
			must(t, err)
			if !slices.Contains(copies, Copy{Farmer: first.FarmerID, State: CopyProved}) {
				t.Errorf("the copies are %+v", copies)
			}
			if held, err := f.HeldFiles(t.Context(), 9, 9); err != nil || !slices.ContainsFunc(held, func(h HeldFile) bool { return h.Hash == file && h.Proved > 0 }) {
				t.Errorf("the files are %+v, %v, want a proved copy", held, err)
			}
			tags := f.Tags(t.Context(), []HandedOut{got[0].HandedOut})
			_, err = f.CleanContracts(t.Context(), time.Hour, now)
			must(t, err)
			if _, err := tags.Next(); err != nil {
				t.Error(err)
			}
			tags.Close()
			f.checkInvariant(t)
		}
		old := answer(first, contract, true, now)
		old.Sequence = 1
		if outcome := f.commit(t, old)[0]; outcome == node.OK {
			t.Error("a proof for an earlier copy counts")
		}
		events, err := f.FarmerEvents(t.Context(), first.FarmerID)
		must(t, err)
		completed := 0
		for _, e := range events {
			if e.Kind == node.EventCompleted {
				completed++
			}
		}
		record := f.farmer(t, first, now)
		if completed != 3 || record.Contracts != 1 || record.Uptime.Percent(now) != 100 {
			t.Errorf("%d completed, %+v", completed, record)
		}

		f.complete(t, first, contract, 3, now)
		now = now.Add(2 * interval)
		f.stockOne(t, f.Store, all, now)
		expireAll(t.Context(), t, f, now)
		f.checkInvariant(t)
		found := false
		for _, got := range f.ask(t, third, 9, now) {
			found = found || got.FileHash == file
		}
		if !found {
			t.Error("the copy of a farmer that does not come back is not handed out")
		}
	})
}
