package ledger

import (
	"testing"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/test/deployment"
)

// token returns a record with a sum of slots, some of them good.
func token(slots int64, weight, good float64) deployment.Token {
	return deployment.Token{
		Heartbeats: 3, Wrong: 1, Slots: slots,
		Evidence: node.Evidence{Correct: node.Track{Weight: weight, Good: good}},
	}
}

// An audit is useful only if it finds real differences. Every case except for
// "correct" has a difference, and the audit must find it.
func TestAudit(t *testing.T) {
	t.Parallel()
	correct := func() deployment.Records {
		return deployment.Records{
			Tokens:    map[string]deployment.Token{"f": {Heartbeats: 3, Wrong: 1}},
			Contracts: []deployment.Contract{{Farmer: "f", File: "a", Heartbeats: 2}, {Farmer: "f", File: "b", Heartbeats: 1}},
			Files:     3,
			Waiting:   1,
		}
	}
	for _, test := range []struct {
		name   string
		forge  func(*deployment.Records)
		expect Count
	}{
		{"correct", func(*deployment.Records) {}, Count{}},
		{"lost", func(r *deployment.Records) { r.Tokens["f"] = deployment.Token{Heartbeats: 2, Wrong: 1} }, Count{Lost: 1}},
		{"doubled", func(r *deployment.Records) { r.Tokens["f"] = deployment.Token{Heartbeats: 3, Wrong: 3} }, Count{Doubled: 2}},
		{"no token", func(r *deployment.Records) { delete(r.Tokens, "f") }, Count{Lost: 4}},
		{"one lost, one doubled", func(r *deployment.Records) { r.Contracts[0].Heartbeats-- }, Count{ContractsDiffering: 1}},
		{"handed out twice", func(r *deployment.Records) {
			r.Files++
			r.Contracts = append(r.Contracts, deployment.Contract{Farmer: "g", File: "a"})
		}, Count{HandedOutTwice: 1}},
		{"an interval counted twice", func(r *deployment.Records) { r.Tokens["f"] = token(1, 2, 2) }, Count{SumsWrong: 1}},
		{"more good intervals than intervals", func(r *deployment.Records) { r.Tokens["f"] = token(3, 2, 3) }, Count{SumsWrong: 1}},
		{"chunk lost", func(r *deployment.Records) { r.Waiting = 0 }, Count{ChunksUnaccounted: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var l Ledger
			l.Took("a")
			l.Took("b")
			l.Accepted("f", "a", "0")
			l.Accepted("f", "a", "0") // the farmer received the same verdict again
			l.Accepted("f", "a", "1")
			l.Accepted("f", "b", "0")
			l.Refused("f", "b", "0", "x")
			records := correct()
			test.forge(&records)
			got := l.Audit(records)
			if test.expect.Verdicts = 4; got != test.expect {
				t.Errorf("%+v, want %+v", got, test.expect)
			}
			if got.Clean() != (test.name == "correct") {
				t.Errorf("clean: %v", got.Clean())
			}
		})
	}
}
