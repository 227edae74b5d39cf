package redisdb

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/redisdb/redistest"
)

// aContract returns a contract of token 7 for file 9, with a version.
func aContract(version int64) node.Contract {
	return node.Contract{
		ID: 11, TokenID: 7, KeyID: 3, FileHash: node.FileHash{9}, Size: 1 << 40,
		Interval: 5 * time.Minute, Version: version, Sequence: 4,
		Challenge: []byte("challenge"), State: []byte("state"),
		Due:      time.Now().UTC().Truncate(time.Microsecond).Add(time.Minute),
		Answered: true, Accepted: node.Digest{1}, Wrong: []node.Digest{{2}, {3}},
	}
}

func cached(t testing.TB, db *DB, c node.Contract) *node.Contract {
	t.Helper()
	got, err := db.Contracts().Get(t.Context(), []node.ContractName{c.Name()})
	must(t, err)
	return got[0]
}

func TestContractsAreReadAsTheyWereWritten(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		contracts := open(t, s).Contracts()
		const n = contractBatch + 10
		var put []node.Contract
		names := []node.ContractName{{TokenID: 7, FileHash: node.FileHash{0xff}}} // no contract has this name
		for i := range n {
			c := aContract(int64(i))
			c.FileHash = node.FileHash{byte(i), byte(i >> 8), 1}
			put = append(put, c)
			names = append(names, c.Name())
		}
		must(t, contracts.Put(t.Context(), put))
		got, err := contracts.Get(t.Context(), names)
		must(t, err)
		if len(got) != n+1 || got[0] != nil {
			t.Fatalf("%d contracts, the first is %v", len(got), got[0])
		}
		for i := range put {
			if !reflect.DeepEqual(*got[i+1], put[i]) {
				t.Fatalf("got %+v, put %+v", got[i+1], put[i])
			}
		}
		must(t, contracts.Forget(t.Context(), names[1], names[n]))
		got, err = contracts.Get(t.Context(), names)
		must(t, err)
		if got[1] != nil || got[2] == nil || got[n] != nil {
			t.Error("Forget did not delete exactly the named contracts")
		}
		must(t, contracts.Forget(t.Context()))
		must(t, contracts.Put(t.Context(), nil))
	})
}

func TestPutKeepsTheHighestVersion(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		db := open(t, s)
		newer, older, same := aContract(256), aContract(255), aContract(256)
		same.State = []byte("the same version, written again")
		for _, step := range []struct{ put, want node.Contract }{
			{newer, newer}, {older, newer}, {same, same}, {aContract(1 << 40), aContract(1 << 40)}, {same, aContract(1 << 40)},
		} {
			must(t, db.Contracts().Put(t.Context(), []node.Contract{step.put}))
			if got := cached(t, db, step.put); got.Version != step.want.Version || !bytes.Equal(got.State, step.want.State) {
				t.Errorf("after Put of version %d, the cache has version %d", step.put.Version, got.Version)
			}
		}
		// A malformed value counts as missing, and a copy of any version replaces
		// it.
		key := db.Contracts().key(newer.Name())
		for _, malformed := range []string{"", "x", "\x02aaaaaaaaaaaaaaaaaa"[:1]} {
			must(t, db.Client.Set(t.Context(), key, malformed, 0).Err())
			if got := cached(t, db, newer); got != nil {
				t.Errorf("%q was read as %+v", malformed, got)
			}
			must(t, db.Contracts().Put(t.Context(), []node.Contract{older}))
			if got := cached(t, db, older); got == nil {
				t.Errorf("Put did not replace %q", malformed)
			}
		}
	})
}

func TestConcurrentPutsKeepTheHighestVersion(t *testing.T) {
	redistest.OnEachOwn(t, func(t *testing.T, s *redistest.Server) {
		db := open(t, s)
		const writers, versions = 8, 100
		var all sync.WaitGroup
		for range writers {
			all.Go(func() {
				for _, v := range rand.Perm(versions) {
					if err := db.Contracts().Put(t.Context(), []node.Contract{aContract(int64(v))}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Go(func() { // Redis may lose the script at any moment
			for range 20 {
				if err := db.Client.ScriptFlush(t.Context()).Err(); err != nil {
					t.Error(err)
				}
			}
		})
		all.Go(func() {
			name := aContract(0)
			var last int64
			for range 200 {
				got, err := db.Contracts().Get(t.Context(), []node.ContractName{name.Name()})
				if err != nil {
					t.Error(err)
				} else if got[0] != nil && got[0].Version < last {
					t.Errorf("version %d after %d", got[0].Version, last)
				} else if got[0] != nil {
					last = got[0].Version
				}
			}
		})
		all.Wait()
		if got := cached(t, db, aContract(0)); got.Version != versions-1 {
			t.Errorf("the cache has version %d, want %d", got.Version, versions-1)
		}
	})
}

func TestCachedContractsExpire(t *testing.T) {
	redistest.OnEach(t, func(t *testing.T, s *redistest.Server) {
		now := time.Now()
		db := open(t, s, func(o *Options) { o.Now = func() time.Time { return now } })
		for name, c := range map[string]struct {
			expiry, ttl time.Duration
		}{
			"current": {time.Hour, time.Hour + contractLinger},
			"expired": {-time.Hour, contractLinger},
			"long":    {1e6 * time.Hour, contractMaxTTL},
		} {
			contract := aContract(0)
			contract.FileHash = node.FileHash([]byte(name + string(make([]byte, 32)))[:32])
			contract.Answered, contract.Due = false, now.Add(c.expiry)
			must(t, db.Contracts().Put(t.Context(), []node.Contract{contract}))
			ttl, err := db.Client.PTTL(t.Context(), db.Contracts().key(contract.Name())).Result()
			must(t, err)
			if ttl > c.ttl || ttl < c.ttl-time.Minute {
				t.Errorf("%s: lifetime %v, want %v", name, ttl, c.ttl)
			}
		}
	})
}

// A malformed encoding must return an error. Parsing and writing a valid encoding
// must return the same bytes.
func FuzzContract(f *testing.F) {
	full, empty := aContract(3), node.Contract{}
	for _, c := range []node.Contract{full, empty} {
		b := appendContract(nil, &c)
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(append(b, 0))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseContract(b)
		if err != nil {
			return
		}
		if again := appendContract(nil, c); !bytes.Equal(again, b) {
			t.Errorf("%x became %x", b, again)
		}
	})
}

func TestContractFormKeepsEveryField(t *testing.T) {
	t.Parallel()
	// A field that is not in the encoding would be zero after parsing. So no field
	// of the test's contract may be zero, except Moved: readers get it from the row.
	c := aContract(2)
	for i, v := 0, reflect.ValueOf(c); i < v.NumField(); i++ {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() != (name == "Moved") {
			t.Errorf("%s is zero in the test's contract", name)
		}
	}
	got, err := parseContract(appendContract(nil, &c))
	if err != nil || !reflect.DeepEqual(*got, c) {
		t.Errorf("%+v: %v", got, err)
	}
	zero := appendContract(nil, &node.Contract{})
	if got, err := parseContract(zero); err != nil || !got.Due.IsZero() || got.Due.Location() != time.UTC {
		t.Errorf("%+v: %v", got, err)
	}
}

// BenchmarkPut replaces copies of more contracts than fit into the processor's
// caches. It reports the time that Redis itself spends on each contract.
func BenchmarkPut(b *testing.B) {
	db := open(b, redistest.Shared(b))
	contracts := make([]node.Contract, 50_000)
	for i := range contracts {
		c := &contracts[i]
		c.TokenID, c.FileHash = int64(i/1000), node.FileHash{byte(i), byte(i >> 8)}
		c.Challenge, c.State = make([]byte, 40), make([]byte, 200)
		c.Interval, c.Due = time.Hour, time.Now().Add(time.Hour)
	}
	put := func(batch []node.Contract) {
		for i := range batch {
			batch[i].Version++
		}
		must(b, db.Contracts().Put(b.Context(), batch))
	}
	put(contracts)
	must(b, db.Client.ConfigResetStat(b.Context()).Err())
	for i := 0; b.Loop(); i += contractBatch {
		at := i % len(contracts)
		put(contracts[at : at+contractBatch])
	}
	b.ReportMetric(serverMicroseconds(b, db, "evalsha")/float64(b.N*contractBatch), "redis-µs/copy")
	b.ReportMetric(float64(b.N*contractBatch)/b.Elapsed().Seconds(), "copies/s")
}

// serverMicroseconds returns the time that Redis reports for a command.
func serverMicroseconds(b *testing.B, db *DB, command string) float64 {
	b.Helper()
	stats, err := db.Client.Info(b.Context(), "commandstats").Result()
	must(b, err)
	_, rest, _ := strings.Cut(stats, "cmdstat_"+command+":")
	_, rest, _ = strings.Cut(rest, "usec=")
	text, _, _ := strings.Cut(rest, ",")
	spent, err := strconv.ParseFloat(text, 64)
	must(b, err)
	return spent
}
