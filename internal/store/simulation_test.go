package store

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

var (
	simulations    = flag.Int("simulations", 8, "the number of simulated nodes")
	simulationSeed = flag.Uint64("simulation-seed", 0, "the seed of the only simulated node; 0 means new seeds")
)

// Nodes with random faults and farmers live through several hours, with the real rules and
// the real database, but on a simulated clock. No honest farmer may lose a contract or
// uptime, no dead farmer may gain uptime, and faults must not overlap.
func TestSimulation(t *testing.T) {
	t.Parallel()
	seeds := make(chan uint64, *simulations)
	if *simulationSeed != 0 {
		seeds <- *simulationSeed
	} else {
		for range *simulations {
			seeds <- rand.Uint64()
		}
	}
	close(seeds)
	var total simulated
	var mu sync.Mutex
	t.Run("nodes", func(t *testing.T) {
		for range runtime.GOMAXPROCS(0) {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				f := newFixture(t, SQLite)
				must(t, f.write.Exec("CREATE TABLE simulated (now INTEGER NOT NULL)").Error)
				must(t, f.write.Exec("INSERT INTO simulated VALUES (0)").Error)
				f.dialect.clock = "(SELECT now FROM simulated)"
				for seed := range seeds {
					done, err := simulate(t, f, seed)
					if err != nil {
						t.Errorf("%v\nrepeat it with: go test ./internal/store -run TestSimulation -args -simulation-seed %d", err, seed)
					}
					mu.Lock()
					total.add(done)
					mu.Unlock()
				}
			})
		}
	})
	t.Logf("%d nodes: %d faults by cause %v, %d proofs, %d honest farmers lost nothing, %d dead farmers gained nothing",
		*simulations, total.faults, total.causes, total.proofs, total.honest, total.dead)
	if *simulationSeed == 0 && (total.honest == 0 || total.dead == 0 || total.faults == 0 || total.proofs == 0) {
		t.Error("the simulation did nothing")
	}
}

// simulated counts what happened.
type simulated struct {
	faults, proofs, honest, dead int
	causes                       map[node.FaultCause]int
}

func (s *simulated) add(o simulated) {
	s.faults += o.faults
	s.proofs += o.proofs
	s.honest += o.honest
	s.dead += o.dead
	if s.causes == nil {
		s.causes = map[node.FaultCause]int{}
	}
	for cause, n := range o.causes {
		s.causes[cause] += n
	}
}

// disaster is what goes wrong with a node for some time.
type disaster struct {
	kind       disasterKind
	begin, end time.Time
}

type disasterKind int

const (
	everythingDown disasterKind = iota
	noWorker
	noAPI
	cutOff    // farmers cannot reach the node
	undecided // no proof can be decided
	suspended // the clock jumps from begin to end
	disasterKinds
)

type simulation struct {
	t           testing.TB
	f           *fixture
	random      *rand.Rand
	began, now  time.Time
	disasters   []disaster
	api, worker simulatedProcess
	farmers     []*simulatedFarmer
	done        simulated
}

type simulatedProcess struct {
	*Process
	kind   string
	proofs node.ProofLog
	known  time.Time
	begun  int // how often it was started
	up     bool
}

type simulatedFarmer struct {
	token Token
	died  time.Time // zero for an honest farmer
	until time.Time // the farmer sleeps until then
	lost  []string
}

// simulate lets one node live.
func simulate(t testing.TB, f *fixture, seed uint64) (simulated, error) {
	ctx := t.Context()
	for _, table := range []string{"farmer_days", "contracts", "tokens", "chunks", "tags", "files", "processes", "faults"} {
		must(t, f.write.Exec("DELETE FROM "+table).Error)
	}
	s := &simulation{t: t, f: f, random: rand.New(rand.NewPCG(seed, 1)), now: start}
	s.api.kind, s.worker.kind = KindAPI, KindWorker
	s.setClock()
	s.tick(ctx)
	s.began = s.now
	for i := range 2 + s.random.IntN(4) {
		farmer := &simulatedFarmer{token: f.token(t, fmt.Sprint("address ", i))}
		f.contracts(t, farmer.token, s.now.Add(-s.upTo(interval/2)), make100(1+s.random.IntN(3))...)
		s.farmers = append(s.farmers, farmer)
	}
	at := s.began.Add(2*interval + s.upTo(interval))
	for range 1 + s.random.IntN(4) {
		d := disaster{kind: disasterKind(s.random.IntN(int(disasterKinds))), begin: at, end: at.Add(s.upTo(6 * interval))}
		s.disasters = append(s.disasters, d)
		at = d.end.Add(s.upTo(6 * interval))
	}
	if s.random.IntN(2) == 0 { // there is always another farmer, because the node cannot tell the death of its only farmer from a lost connection
		s.farmers[0].died = s.began.Add(interval + s.upTo(at.Sub(s.began)))
	}
	// Each fault gives the dead farmer's contracts the time to come back, too.
	end, limit := at.Add(6*interval), at.Add(30*interval)
	for s.now.Before(end) || s.now.Before(limit) && !s.settled() {
		s.tick(ctx)
	}
	return s.done, s.check(ctx)
}

// settled reports whether no fault is open and no dead farmer has a contract.
func (s *simulation) settled() bool {
	for _, farmer := range s.farmers {
		if !farmer.died.IsZero() && s.f.count(s.t, "contracts", "live AND token_id = ?", farmer.token.ID) > 0 {
			return false
		}
	}
	return s.f.count(s.t, "faults", "ended = 0") == 0
}

// make100 returns n sizes.
func make100(n int) []int64 {
	sizes := make([]int64, n)
	for i := range sizes {
		sizes[i] = 100
	}
	return sizes
}

func (s *simulation) upTo(d time.Duration) time.Duration {
	return time.Duration(s.random.Int64N(int64(d))).Truncate(time.Millisecond)
}

func (s *simulation) suffers(kinds ...disasterKind) bool {
	for _, d := range s.disasters {
		for _, kind := range kinds {
			if d.kind == kind && !s.now.Before(d.begin) && s.now.Before(d.end) {
				return true
			}
		}
	}
	return false
}

func (s *simulation) setClock() {
	must(s.t, s.f.write.Exec("UPDATE simulated SET now = ?", micros(s.now)).Error)
}

// tick lets a few seconds pass.
func (s *simulation) tick(ctx context.Context) {
	before := s.now
	s.now = s.now.Add(3*time.Second + s.upTo(2*time.Second))
	for _, d := range s.disasters {
		if d.kind == suspended && before.Before(d.begin) && !s.now.Before(d.begin) {
			s.now = s.now.Add(d.end.Sub(d.begin))
		}
	}
	s.setClock()
	processes := []*simulatedProcess{&s.api, &s.worker}
	s.random.Shuffle(2, func(i, j int) { processes[i], processes[j] = processes[j], processes[i] })
	s.api.run(ctx, s, !s.suffers(everythingDown, noAPI))
	s.worker.run(ctx, s, !s.suffers(everythingDown, noWorker))
	if s.worker.up {
		before := s.now.Add(-time.Second)
		if s.worker.known.Before(before) {
			before = s.worker.known
		}
		expireAll(ctx, s.t, s.f, before)
	}
	if s.api.up && !s.suffers(cutOff) {
		for _, farmer := range s.farmers {
			if !s.now.Before(farmer.until) && (farmer.died.IsZero() || s.now.Before(farmer.died)) {
				s.farm(ctx, farmer)
			}
		}
	}
}

// run starts, stops or continues a process. A process reports in each tick.
func (p *simulatedProcess) run(ctx context.Context, s *simulation, up bool) {
	if up && !p.up {
		p.begun++
		p.Process = s.f.NewProcess(fmt.Sprint(p.kind, p.begun), p.kind)
		beat(s.t, p.Process)
		p.known = time.Time{}
	}
	if p.up = up; !up {
		return
	}
	for again := true; again; {
		state, err := p.Report(ctx, Seen{true, p.proofs.Counts(s.now, node.ProofWindow(interval)), p.proofs.Back()}, FaultRules{interval, 20 * interval})
		must(s.t, err)
		p.known = state.Known
		again = false
		for _, fault := range state.Unapplied {
			if !fault.End.IsZero() {
				applyAll(s.t, s.f, fault.ID)
				again = true
			}
		}
	}
}

// farm does what an honest farmer does: it sleeps until a challenge is due, asks for the next one, and
// sends the proof until it has a verdict.
func (s *simulation) farm(ctx context.Context, farmer *simulatedFarmer) {
	contracts, err := s.f.ContractsAfter(ctx, farmer.token.ID, node.FileHash{}, 10)
	must(s.t, err)
	farmer.until = s.now.Add(time.Hour)
	for _, c := range contracts {
		if c.AwaitsChallenge(s.now) {
			advanced, err := s.f.Advance(ctx, farmer.token.ID, []int64{c.ID}, s.now, func(c *node.Contract) error { c.Issue(c.Challenge, c.State, s.now); return nil })
			must(s.t, err)
			c = advanced[0]
		}
		switch {
		case c.Answered && !c.Expired(s.now):
			farmer.sleep(c.Due)
			continue
		case c.Expired(s.now) && c.Expiry().After(s.api.known):
			s.api.proofs.Returned(farmer.token.ID)
		case c.Expired(s.now):
			farmer.lost = append(farmer.lost, fmt.Sprintf("contract %d at %v, due %v, answered %t, known %v", c.ID, s.now.Sub(s.began), c.Due.Sub(s.began), c.Answered, s.api.known.Sub(s.began)))
		case !s.worker.up || s.suffers(undecided):
			s.api.proofs.Count(s.now, 0, 1)
		default:
			v := Verdict{
				ContractID: c.ID, TokenID: c.TokenID, Sequence: c.Sequence,
				Proof: node.DigestOf(fmt.Append(nil, c.ID, c.Sequence)), Valid: true, Received: s.now,
			}
			if outcome := s.f.commit(s.t, v)[0]; outcome != node.OK {
				farmer.lost = append(farmer.lost, fmt.Sprintf("a proof: %v at %v", outcome, s.now.Sub(s.began)))
			}
			s.api.proofs.Count(s.now, 1, 0)
			s.done.proofs++
			farmer.sleep(c.Due)
			continue
		}
		farmer.sleep(s.now)
	}
}

func (f *simulatedFarmer) sleep(until time.Time) {
	if until.Before(f.until) {
		f.until = until
	}
}

// check looks at what the simulated node has recorded.
func (s *simulation) check(ctx context.Context) error {
	faults, err := selectFaults(s.f.reader(ctx), "ORDER BY start, id")
	must(s.t, err)
	story := "disasters:"
	for _, d := range s.disasters {
		story += fmt.Sprintf("\n  %d from %v to %v", d.kind, d.begin.Sub(s.began), d.end.Sub(s.began))
	}
	for i, f := range s.farmers {
		if !f.died.IsZero() {
			story += fmt.Sprintf("\n  farmer %d died at %v", i, f.died.Sub(s.began))
		}
		for _, lost := range f.lost[:min(2, len(f.lost))] {
			story += fmt.Sprintf("\n  farmer %d lost %s", i, lost)
		}
	}
	story += "\nfaults:"
	for _, f := range faults {
		story += fmt.Sprintf("\n  %d %s from %v to %v, resume %v, discarded %t: %s", f.ID, f.Cause, f.Start.Sub(s.began), f.End.Sub(s.began), f.Resume.Sub(s.began), f.Discarded, f.Evidence)
	}
	s.done.causes = map[node.FaultCause]int{}
	var excluded time.Duration
	for i, fault := range faults {
		s.done.faults++
		s.done.causes[fault.Cause]++
		if fault.End.IsZero() {
			return fmt.Errorf("fault %d is still open\n%s", fault.ID, story)
		}
		if i > 0 && fault.Start.Before(faults[i-1].End) {
			return fmt.Errorf("faults %d and %d overlap\n%s", faults[i-1].ID, fault.ID, story)
		}
		if !fault.Discarded {
			excluded += fault.Resume.Sub(fault.Start)
		}
	}
	for _, farmer := range s.farmers {
		record := s.f.farmer(s.t, farmer.token, s.now)
		uptime := record.Uptime
		if farmer.died.IsZero() {
			s.done.honest++
			if len(farmer.lost) > 0 || uptime.Percent(s.now) < 100 {
				return fmt.Errorf("an honest farmer lost %d times and has an uptime of %v %%\n%s", len(farmer.lost), uptime.Percent(s.now), story)
			}
			continue
		}
		s.done.dead++
		// Without faults, its last proof keeps a contract for at most two intervals.
		if most := farmer.died.Sub(s.began.Add(-interval/2)) + 2*interval; uptime.Sum(s.now) > most || record.Contracts > 0 {
			return fmt.Errorf("a farmer that died at %v was online for %v, more than %v, and has %d contracts\n%s",
				farmer.died.Sub(s.began), uptime.Sum(s.now), most, record.Contracts, story)
		}
	}
	return nil
}
