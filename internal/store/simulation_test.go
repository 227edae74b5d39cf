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

// failedOnce are seeds that found faults of the rules: farmers that were cut off just after
// another fault, and a challenge that was postponed without its farmer's uptime.
var failedOnce = []uint64{16826674507351931793, 12528870516177981328, 14566179065618646987, 11968136920520080602, 6034059169140444496, 17429333450615508793, 9146398538332971969, 14056988222726511560, 6706915940764631367, 9507625979013042528, 8105156319073038092}

// Nodes with random faults and farmers live through several hours, with the real rules and
// the real database, but on a simulated clock. No honest farmer may lose a contract or
// uptime, no farmer may gain uptime, and faults must not overlap.
func TestSimulation(t *testing.T) {
	t.Parallel()
	seeds := make(chan uint64, *simulations+len(failedOnce))
	if *simulationSeed != 0 {
		seeds <- *simulationSeed
	} else {
		for _, seed := range failedOnce {
			seeds <- seed
		}
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
		total.nodes, total.faults, total.causes, total.proofs, total.honest, total.dead)
	if *simulationSeed == 0 && (total.honest == 0 || total.dead == 0 || total.faults == 0 || total.proofs == 0) {
		t.Error("the simulation did nothing")
	}
}

// simulated counts what happened.
type simulated struct {
	nodes, faults, proofs, honest, dead int
	causes                              map[node.FaultCause]int
}

func (s *simulated) add(o simulated) {
	s.nodes++
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
	takes       *rand.Rand // decides when farmers take more contracts
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
	knows map[int64]known
	gap   time.Duration // how long it had no contract
	lost  []string
}

// known is what a farmer knows about a contract: what it was told with the challenge.
// The field's clients ask for the next challenge at that due time, ignore any later due time of the
// same challenge, and give up after one interval.
type known struct {
	sequence int64
	due      time.Time
	since    time.Time // when the farmer got the challenge
	asked    time.Time // when it first asked for the next one; zero before
}

// simulate lets one node live.
func simulate(t testing.TB, f *fixture, seed uint64) (simulated, error) {
	ctx := t.Context()
	for _, table := range []string{"farmer_days", "contracts", "tokens", "chunks", "tags", "files", "processes", "faults"} {
		must(t, f.write.Exec("DELETE FROM "+table).Error)
	}
	s := &simulation{t: t, f: f, random: rand.New(rand.NewPCG(seed, 1)), takes: rand.New(rand.NewPCG(seed, 2)), now: start}
	s.api.kind, s.worker.kind = KindAPI, KindWorker
	s.setClock()
	s.tick(ctx)
	s.began = s.now
	for i := range 2 + s.random.IntN(4) {
		farmer := &simulatedFarmer{token: f.token(t, fmt.Sprint("address ", i)), knows: map[int64]known{}}
		first := s.now.Add(-s.upTo(interval / 2))
		if s.takes.IntN(2) == 0 {
			f.contracts(t, farmer.token, first.Add(-4*interval), 1)
			expireAll(ctx, t, f, first)
			must(t, f.write.Exec("DELETE FROM contracts WHERE token_id = ?", farmer.token.ID).Error)
			farmer.gap = 3 * interval
		}
		f.contracts(t, farmer.token, first, make100(1+s.random.IntN(3))...)
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
		if err := s.checkUptimes(ctx); err != nil {
			return s.done, err
		}
	}
	return s.done, s.check(ctx)
}

// checkUptimes checks that no farmer's gap has become shorter, at the time that uptimes are stated at.
func (s *simulation) checkUptimes(ctx context.Context) error {
	if !s.api.up {
		return nil
	}
	resume, err := s.f.reader(ctx).number("SELECT COALESCE(MAX(resume), 0) FROM faults WHERE applied = 1 AND discarded = 0")
	must(s.t, err)
	at := later(node.StatedAt(s.now, s.api.known), moment(resume))
	for i, farmer := range s.farmers {
		uptime := s.f.farmer(s.t, farmer.token, at).Uptime
		at := later(at, uptime.Start)
		if online, most := uptime.Sum(at), at.Sub(uptime.Since)-farmer.gap; online > most {
			return fmt.Errorf("at %v, farmer %d was online for %v, more than %v: %+v\n%s", s.now.Sub(s.began), i, online, most, uptime, s.story(ctx))
		}
	}
	return nil
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

// cutOffWithin reports whether farmers are cut off soon. The node finds that too late for
// contracts that expire within an interval after another fault and were never proved.
func (s *simulation) cutOffWithin(soon time.Duration) bool {
	for _, d := range s.disasters {
		if d.kind == cutOff && s.now.Before(d.end) && s.now.Add(soon).After(d.begin) {
			return true
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
		k := farmer.knows[c.ID]
		if k.sequence != c.Sequence || k.since.IsZero() {
			k = known{sequence: c.Sequence, due: c.Due, since: s.now}
		}
		if c.Answered && k.asked.IsZero() && !s.now.Before(k.due) {
			k.asked = s.now
		}
		farmer.knows[c.ID] = k
		switch {
		case c.Answered && !c.Expired(s.now):
			if !k.asked.IsZero() && s.now.Sub(k.asked) >= interval {
				farmer.lost = append(farmer.lost, fmt.Sprintf("contract %d at %v: no next challenge one interval after the farmer asked", c.ID, s.now.Sub(s.began)))
			}
			farmer.sleep(k.due)
			continue
		case c.Expired(s.now) && c.Expiry().After(s.api.known):
			s.api.proofs.Returned(farmer.token.ID)
			if s.takes.IntN(2) == 0 && len(contracts) < 6 && !s.cutOffWithin(2*interval) {
				s.f.stock(s.t, 1)
				_, err := s.f.HandOut(ctx, farmer.token, 1<<40, HandOutLimits{Contracts: 1}, interval, s.now)
				must(s.t, err)
			}
		case c.Expired(s.now):
			farmer.lost = append(farmer.lost, fmt.Sprintf("contract %d at %v, due %v, answered %t, known %v", c.ID, s.now.Sub(s.began), c.Due.Sub(s.began), c.Answered, s.api.known.Sub(s.began)))
		case s.now.Equal(k.since): // the farmer makes the proof, and sends it in the next tick
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

// story describes what happened, for an error.
func (s *simulation) story(ctx context.Context) string {
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
	return story
}

// check looks at what the simulated node has recorded.
func (s *simulation) check(ctx context.Context) error {
	faults, err := selectFaults(s.f.reader(ctx), "ORDER BY start, id")
	must(s.t, err)
	s.done.causes = map[node.FaultCause]int{}
	story := s.story(ctx)
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
			if len(farmer.lost) > 0 || uptime.Sum(s.now) != s.now.Sub(uptime.Since)-farmer.gap {
				return fmt.Errorf("an honest farmer lost %d times and has an uptime of %v %%\n%s", len(farmer.lost), uptime.Percent(s.now), story)
			}
			continue
		}
		s.done.dead++
		if err := s.checkFoundOut(farmer, faults); err != nil {
			return fmt.Errorf("%w\n%s", err, story)
		}
		// Without faults, its last proof keeps a contract for at most two intervals.
		if most := farmer.died.Sub(s.began.Add(-interval/2)) + 3*interval; uptime.Sum(s.now) > most || record.Contracts > 0 {
			return fmt.Errorf("a farmer that died at %v was online for %v, more than %v, and has %d contracts\n%s",
				farmer.died.Sub(s.began), uptime.Sum(s.now), most, record.Contracts, story)
		}
	}
	return nil
}

// checkFoundOut checks that a dead farmer's contracts expired in time: two intervals after
// its death, or one interval after the last fault before their expiry.
func (s *simulation) checkFoundOut(farmer *simulatedFarmer, faults []node.Fault) error {
	last, err := s.f.reader(s.t.Context()).number("SELECT COALESCE(MAX(expiry), 0) FROM contracts WHERE token_id = ?", farmer.token.ID)
	must(s.t, err)
	latest := farmer.died.Add(2 * interval)
	for _, f := range faults {
		if !f.Discarded && f.Start.Before(latest) {
			latest = later(latest, f.End.Add(interval))
		}
	}
	if found := moment(last); found.After(latest) {
		return fmt.Errorf("a farmer that died at %v had contracts until %v, later than %v", farmer.died.Sub(s.began), found.Sub(s.began), latest.Sub(s.began))
	}
	return nil
}
