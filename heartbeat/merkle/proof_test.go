package merkle

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
)

// oddProofs returns JSON that two decoders could decode differently. About half of
// the texts are proofs.
func oddProofs() []string {
	const (
		leaf   = `"leaf":{"index":3,"blob":"` + zeros + `"}`
		branch = `"branch":{"rows":[["` + zeros + `",""],["AA==","AAA="]]}`
	)
	wrap := func(s string) string { return `{` + leaf + `,` + branch + `,"more":` + s + `}` }
	return []string{
		`{` + leaf + `,` + branch + `}`,
		`{` + branch + `,` + leaf + `}`,
		"\t{ " + branch + "\r\n,\n" + leaf + " } ",
		"\v{" + leaf + "," + branch + "}",
		`{"leaf":7,` + leaf + `,` + branch + `}`,
		`{` + leaf + `,` + branch + `,"leaf":7}`,
		`{` + leaf + `,"branch":{"rows":[["",""]]},` + branch + `}`,
		`{` + leaf + `,` + branch + `,"branch":{"rows":[]}}`,
		`{` + leaf + `,` + branch + `,"branch":{}}`,
		`{"leaf":{"index":"","index":9,"blob":0,"blob":""},` + branch + `}`,
		`{"leaf":{"index":1,"blob":"AA==","index":null},` + branch + `}`,
		`{` + leaf + `,"branch":{"rows":{},"rows":[],"rows":[["","",""]],"rows":[["AA==","\u0041A=="]]}}`,
		`{"l\u0065af":{"ind\u0065x":1,"\u0062lob":"\u0041A=="},` + branch + `}`,
		`{"leaf":{"index":1,"blob":"A\nA=\r="},` + branch + `}`,
		"{\"leaf\":{\"index\":1,\"blob\":\"A\nA==\"}," + branch + "}",
		"{\"leaf\":{\"index\":1,\"blob\":\"A\tA==\"}," + branch + "}",
		`{"leaf":{"index":1,"blob":"` + strings.Repeat(`\n`, 3000) + `AA=="},` + branch + `}`,
		`{"leaf":{"index":1,"blob":"` + strings.Repeat("AAAA", maxEntry/3) + `AA=="},` + branch + `}`,
		`{"leaf":{"index":1,"blob":"` + strings.Repeat("AAAA", maxEntry/3) + `AAA="},` + branch + `}`,
		`{"leaf":{"index":1,"blob":"` + strings.Repeat("AAAA", maxEntry/3) + `AAAA"},` + branch + `}`,
		`{"leaf":{"index":-9223372036854775808,"blob":""},` + branch + `}`,
		`{"leaf":{"index":-9223372036854775809,"blob":""},` + branch + `}`,
		`{"leaf":{"index":-0,"blob":""},` + branch + `}`,
		`{"leaf":{"index":00,"blob":""},` + branch + `}`,
		`{"leaf":{"index":1.0,"blob":""},` + branch + `}`,
		`{"leaf":{"index":100000000000000000000000000000000000000,"blob":""},` + branch + `}`,
		`{` + leaf + `,"branch":{"rows":[` + strings.Repeat(`["",""],`, maxRows-1) + `["",""]]}}`,
		`{` + leaf + `,"branch":{"rows":[` + strings.Repeat(`["",""],`, maxRows) + `["",""]]}}`,
		`{` + leaf + `,"branch":{"rows":[["",""],]}}`,
		`{` + leaf + `,"branch":{"rows":[["" ""]]}}`,
		`{` + leaf + `,` + branch + `,}`,
		`{` + leaf + `,` + branch + `}}`,
		`{` + leaf + `,` + branch,
		`{,` + leaf + `,` + branch + `}`,
		`{` + leaf + branch + `}`,
		wrap(`[{"leaf":[1,2,{}],"":[]},"\"}{",-0.5e+3,true,false,null]`),
		wrap(`[{"leaf"}]`), wrap(`[1,]`), wrap(`{"a":1,}`), wrap(`{"a",1}`), wrap(`[1:2]`), wrap(`[}`), wrap(`{]`),
		wrap(`-`), wrap(`1.`), wrap(`.5`), wrap(`1e`), wrap(`+1`), wrap(`1e+`), wrap(`0x1`), wrap(`tru`), wrap(`nulL`), wrap(``),
		wrap(`"\x"`), wrap(`"\u12g4"`), wrap(`"\ud800"`), wrap("\"\xff\""), wrap("\"\x1f\""), wrap("\"\x7f\""), wrap(`"`), wrap(`"\`),
		wrap(strings.Repeat("[", 9999) + strings.Repeat("]", 9999)),
		wrap(strings.Repeat("[", 10000) + strings.Repeat("]", 10000)),
		wrap(strings.Repeat(`{"a":`, 9999) + "1" + strings.Repeat("}", 9999)),
		wrap(strings.Repeat("[", 100000)),
		strings.Repeat(`{"leaf":`, 20000),
	}
}

func TestOddProofsDecodeLikeReference(t *testing.T) {
	t.Parallel()
	taken := 0
	for _, wire := range oddProofs() {
		if sameAsReference(t, []byte(wire)) {
			taken++
		}
	}
	if all := len(oddProofs()); taken < all/4 || taken > all*3/4 {
		t.Errorf("%d of %d are proofs", taken, all)
	}
}

// The test changes or removes each byte of a proof.
func TestChangedProofsDecodeLikeReference(t *testing.T) {
	t.Parallel()
	wire := []byte(oddProofs()[0])
	for i := range wire {
		for _, b := range []byte("\x00 \n\"\\{}[],:=0Aa-") {
			changed := bytes.Clone(wire)
			changed[i] = b
			sameAsReference(t, changed)
		}
		sameAsReference(t, append(bytes.Clone(wire[:i]), wire[i+1:]...))
		sameAsReference(t, wire[:i])
	}
}

func FuzzProofDecoders(f *testing.F) {
	for _, v := range readVectors(f) {
		for _, round := range v.Rounds {
			f.Add([]byte(round.Proof))
		}
	}
	for _, wire := range oddProofs() {
		f.Add([]byte(wire))
	}
	f.Fuzz(func(t *testing.T, wire []byte) { sameAsReference(t, wire) })
}

// If the caller provides a buffer, the way from wire bytes to the verdict must
// allocate nothing, whether the proof is valid or not.
func TestVerifyWireDoesNotAllocate(t *testing.T) {
	f := encode(t, new(0.01), 50_000, heartbeat.EncodeOptions{})
	challenge := f.Challenge(t)
	good, err := f.Node.ProofJSON(f.Prove(t, challenge))
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Replace(good, []byte(`"blob":"`), []byte(`"blob":"AAAA`), 1)
	wrong := bytes.Replace(good, []byte(`"index":0`), []byte(`"index":1`), 1)
	buffer := make([]byte, 0, usualProof)
	for _, test := range []struct {
		wire []byte
		want bool
	}{{good, true}, {other, false}, {wrong, false}} {
		allocs := testing.AllocsPerRun(100, func() {
			proof, err := Wire{}.appendProof(buffer, test.wire)
			if err != nil {
				t.Fatal(err)
			}
			if valid, err := f.Node.Verify(f.State, challenge, proof); valid != test.want || err != nil {
				t.Fatalf("%s: %v, %v", test.wire, valid, err)
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations", test.wire, allocs)
		}
	}
}

func TestAppendProofKeepsItsPrefix(t *testing.T) {
	t.Parallel()
	before := []byte("before")
	for _, wire := range oddProofs() {
		want, wantErr := Wire{}.ParseProof([]byte(wire))
		got, err := Wire{}.appendProof(bytes.Clone(before), []byte(wire))
		if (err == nil) != (wantErr == nil) || !bytes.Equal(got, append(bytes.Clone(before), want...)) {
			t.Errorf("%.100s: %x, %v, want %x after the prefix", wire, got, err, want)
		}
	}
}

// sameAsReference compares ParseProof with the reference decoder, and reports
// whether ParseProof accepts the wire form. If a member is repeated, the reference
// decoder reads only the last occurrence, but ParseProof checks all occurrences.
func sameAsReference(t *testing.T, wire []byte) bool {
	t.Helper()
	got, err := Wire{}.ParseProof(wire)
	want, wantErr := parseProofJSON(wire)
	switch {
	case err != nil && !errors.Is(err, heartbeat.ErrMalformed):
		t.Errorf("%.1000q: %v", wire, err)
	case err != nil && wantErr == nil && repeats(wire):
	case (err == nil) != (wantErr == nil):
		t.Errorf("%.1000q: error %v, the reference's %v", wire, err, wantErr)
	case err == nil && !bytes.Equal(got, want.marshal()):
		t.Errorf("%.1000q: %x, want %x", wire, got, want.marshal())
	}
	return err == nil
}

// repeats reports whether a member of a proof occurs more than once.
func repeats(wire []byte) bool {
	seen := map[json.Token]bool{}
	for dec := json.NewDecoder(bytes.NewReader(wire)); ; {
		token, err := dec.Token()
		if err != nil {
			return false
		}
		switch token {
		case "leaf", "index", "blob", "branch", "rows":
			if seen[token] {
				return true
			}
			seen[token] = true
		}
	}
}

// parseProofJSON is the reference decoder, which uses encoding/json.
func parseProofJSON(wire json.RawMessage) (p proof, err error) {
	object, err := membersOf(wire, "leaf", "branch")
	if err != nil {
		return p, err
	}
	leaf, err := membersOf(object["leaf"], "index", "blob")
	if err != nil {
		return p, fmt.Errorf("leaf: %w", err)
	}
	if p.index, err = strconv.ParseInt(string(leaf["index"]), 10, 64); err != nil {
		return p, fmt.Errorf("leaf: %w", err)
	}
	if p.blob, err = parseEntry(leaf["blob"]); err != nil {
		return p, fmt.Errorf("leaf: %w", err)
	}
	branch, err := membersOf(object["branch"], "rows")
	if err != nil {
		return p, fmt.Errorf("branch: %w", err)
	}
	var rows [][]json.RawMessage
	if err := json.Unmarshal(branch["rows"], &rows); err != nil || rows == nil {
		return p, fmt.Errorf("rows: not arrays in an array: %v", err)
	}
	if len(rows) > maxRows {
		return p, fmt.Errorf("more than %d rows", maxRows)
	}
	p.rows = make([][2][]byte, len(rows))
	for i, row := range rows {
		if len(row) != 2 {
			return p, fmt.Errorf("row %d has %d entries, want left and right", i, len(row))
		}
		for side, entry := range row {
			if p.rows[i][side], err = parseEntry(entry); err != nil {
				return p, fmt.Errorf("row %d: %w", i, err)
			}
		}
	}
	return p, nil
}

// membersOf returns the members of an object, which must have exactly these names.
func membersOf(wire json.RawMessage, names ...string) (members map[string]json.RawMessage, err error) {
	if err := json.Unmarshal(wire, &members); err != nil {
		return nil, err
	}
	for _, name := range names {
		if members[name] == nil {
			return nil, fmt.Errorf("no %q", name)
		}
	}
	return members, nil
}

func parseEntry(wire json.RawMessage) ([]byte, error) {
	var text *string
	if err := json.Unmarshal(wire, &text); err != nil || text == nil {
		return nil, fmt.Errorf("not a string: %v", err)
	}
	entry, err := base64.StdEncoding.Strict().DecodeString(*text)
	if err != nil {
		return nil, err
	}
	return entry, checkEntry(len(entry))
}
