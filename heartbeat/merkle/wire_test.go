package merkle

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
)

const zeros = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

// A proof of any shape has one binary form. This form does not depend on the order
// of members or on white space. If the binary form is converted back, the JSON must
// be the same.
func TestParseProofOfAnyShape(t *testing.T) {
	t.Parallel()
	for name, wires := range map[string][]string{
		"no rows": {
			`{"leaf":{"index":3,"blob":"` + zeros + `"},"branch":{"rows":[]}}`,
			` { "branch" : { "rows" : [ ] } , "leaf" : { "blob" : "` + zeros + `", "index" : 3 } } `,
			`{"more":null,"leaf":{"index":3,"blob":"` + zeros + `","more":[1]},"branch":{"rows":[],"more":{}}}`,
		},
		"empty strings": {`{"leaf":{"index":0,"blob":""},"branch":{"rows":[["",""]]}}`},
		"short hashes":  {`{"leaf":{"index":-1,"blob":"AA=="},"branch":{"rows":[["AA==","AAA="],["","AAAA"]]}}`},
		"large index":   {`{"leaf":{"index":9223372036854775807,"blob":""},"branch":{"rows":[]}}`},
		"most rows":     {`{"leaf":{"index":0,"blob":""},"branch":{"rows":[` + strings.Repeat(`["",""],`, maxRows-1) + `["",""]]}}`},
	} {
		first, err := Wire{}.ParseProof([]byte(wires[0]))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, wire := range wires {
			if got, err := (Wire{}).ParseProof([]byte(wire)); err != nil || !bytes.Equal(got, first) {
				t.Errorf("%s: %x, %v, want %x", name, got, err, first)
			}
		}
		again, err := Wire{}.ProofJSON(first)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		sameJSON(t, name, again, []byte(wires[0]))
	}
}

func TestParseProofRefuses(t *testing.T) {
	t.Parallel()
	const good = `{"leaf":{"index":0,"blob":"AA=="},"branch":{"rows":[["AA==","AA=="]]}}`
	if _, err := (Wire{}).ParseProof([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{good, ``},
		{good, `null`},
		{good, `"AAAA"`},
		{good, `[]`},
		{good, good + good},
		{good, good[:len(good)-1]},
		{`"leaf"`, `"Leaf"`},
		{`"leaf":{"index":0,"blob":"AA=="}`, `"leaf":null`},
		{`"leaf":{"index":0,"blob":"AA=="}`, `"leaf":[0,"AA=="]`},
		{`"index":0,`, ``},
		{`"index":0`, `"index":"0"`},
		{`"index":0`, `"index":null`},
		{`"index":0`, `"index":0.5`},
		{`"index":0`, `"index":1e3`},
		{`"index":0`, `"index":9223372036854775808`},
		{`"index":0`, `"index":true`},
		{`"blob":"AA=="`, `"blob":null`},
		{`"blob":"AA=="`, `"blob":[0]`},
		{`"blob":"AA=="`, `"blob":"AA"`},
		{`"blob":"AA=="`, `"blob":"AB=="`},
		{`"blob":"AA=="`, `"blob":"-_=="`},
		{`"blob":"AA=="`, `"blob":"` + strings.Repeat("AAAA", maxEntry/3+1) + `"`},
		{`"rows":[["AA==","AA=="]]`, `"rows":null`},
		{`"rows":[["AA==","AA=="]]`, `"row":[]`},
		{`"rows":[["AA==","AA=="]]`, `"rows":{}`},
		{`[["AA==","AA=="]]`, `[null]`},
		{`[["AA==","AA=="]]`, `["AA=="]`},
		{`["AA==","AA=="]`, `["AA=="]`},
		{`["AA==","AA=="]`, `["AA==","AA==","AA=="]`},
		{`["AA==","AA=="]`, `["AA==",null]`},
		{`["AA==","AA=="]`, `["AA==",7]`},
		{`["AA==","AA=="]`, strings.Repeat(`["",""],`, maxRows) + `["",""]`},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if _, err := (Wire{}).ParseProof([]byte(bad)); !errors.Is(err, heartbeat.ErrMalformed) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestParseChallengeRefuses(t *testing.T) {
	t.Parallel()
	const good = `{"seed":"` + zeros + `","index":0}`
	if _, err := (Wire{}).ParseChallenge([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{
		`null`,
		`{}`,
		`{"seed":"` + zeros + `"}`,
		`{"index":0}`,
		`{"seed":"AAAA","index":0}`,
		`{"seed":"` + zeros + `","index":-1}`,
		`{"seed":"` + zeros + `","index":1048576}`,
		`{"seed":"` + zeros + `","index":"0"}`,
	} {
		if _, err := (Wire{}).ParseChallenge([]byte(bad)); !errors.Is(err, heartbeat.ErrMalformed) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestParseTagRefuses(t *testing.T) {
	t.Parallel()
	const good = `{"tree":{"nodes":["` + zeros + `","` + zeros + `","` + zeros + `",""],"order":1,"leaves":[]},"chunksz":1,"filesz":2}`
	if _, err := (Wire{}).ParseTag([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{good, `null`},
		{`"order":1`, `"order":2`},
		{`"order":1`, `"order":-1`},
		{`"order":1`, `"order":1000000000`},
		{`"order":1`, `"odor":1`},
		{`,""]`, `]`},
		{`,""]`, `,"` + zeros + `"]`},
		{`["` + zeros + `"`, `[""`},
		{`["` + zeros + `"`, `["AAAA"`},
		{`["` + zeros + `"`, `["?"`},
		{`["` + zeros + `"`, `[null`},
		{`"chunksz":1`, `"chunksz":3`},
		{`"chunksz":1`, `"chunksz":-1`},
		{`"filesz":2`, `"filesz":-2`},
		{`"filesz":2`, `"filesz":null`},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if _, err := (Wire{}).ParseTag([]byte(bad)); !errors.Is(err, heartbeat.ErrMalformed) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestWriteTagJSONRefuses(t *testing.T) {
	t.Parallel()
	tag := encode(t, nil, 100, heartbeat.EncodeOptions{Challenges: 3}).Tag
	for name, bad := range map[string][]byte{
		"empty":         {},
		"header only":   tag[:tagHeaderSize],
		"cut short":     tag[:len(tag)-1],
		"too long":      append(bytes.Clone(tag), 0),
		"other version": append([]byte{9}, tag[1:]...),
	} {
		if err := (Wire{}).WriteTagJSON(new(bytes.Buffer), bytes.NewReader(bad)); !errors.Is(err, heartbeat.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseHeartbeatRefuses(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		`null`,
		`{}`,
		`"AAAA"`,
		`{"key":"AAAA","check_fraction":0.5}`,
		`{"key":null,"check_fraction":0.5}`,
		`{"key":"` + zeros + `","check_fraction":"0.5"}`,
		`{"key":"` + zeros + `","check_fraction":2}`,
		`{"key":"` + zeros + `"}`,
	} {
		if _, err := Parse(json.RawMessage(bad)); !errors.Is(err, heartbeat.ErrMalformed) {
			t.Errorf("private %s: %v", bad, err)
		}
		if _, err := ParsePublic(json.RawMessage(bad)); !errors.Is(err, heartbeat.ErrMalformed) {
			t.Errorf("public %s: %v", bad, err)
		}
	}
	h, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(h.Public()); !errors.Is(err, heartbeat.ErrMalformed) {
		t.Errorf("public one as private: %v", err)
	}
	if _, err := ParsePublic(h.Private()); !errors.Is(err, heartbeat.ErrMalformed) {
		t.Errorf("private one as public: %v", err)
	}
	if want := `{"key":"","check_fraction":null}`; string(h.Public()) != want {
		t.Errorf("public heartbeat %s, want %s", h.Public(), want)
	}
}

func FuzzParseProof(f *testing.F) {
	for _, v := range readVectors(f) {
		for _, round := range v.Rounds {
			f.Add([]byte(round.Proof))
		}
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		identity(t, wire, Wire{}.ParseProof, Wire{}.ProofJSON)
	})
}

func FuzzParseChallenge(f *testing.F) {
	for _, v := range readVectors(f) {
		f.Add([]byte(v.Rounds[0].Challenge))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		identity(t, wire, Wire{}.ParseChallenge, Wire{}.ChallengeJSON)
	})
}

func FuzzParseTag(f *testing.F) {
	for _, v := range readVectors(f)[:4] {
		f.Add([]byte(v.Tag))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		identity(t, wire, Wire{}.ParseTag, func(tag []byte) (json.RawMessage, error) {
			var out bytes.Buffer
			err := Wire{}.WriteTagJSON(&out, bytes.NewReader(tag))
			return out.Bytes(), err
		})
	})
}

func FuzzParseHeartbeat(f *testing.F) {
	for _, v := range readVectors(f)[:2] {
		f.Add([]byte(v.Heartbeat))
		f.Add([]byte(v.Public))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		if h, err := Parse(wire); err == nil {
			again, err := Parse(h.Private())
			if err != nil || !bytes.Equal(again.Private(), h.Private()) {
				t.Errorf("%s: %s, %v", wire, h.Private(), err)
			}
		} else if !errors.Is(err, heartbeat.ErrMalformed) {
			t.Error(err)
		}
		if _, err := ParsePublic(wire); err != nil && !errors.Is(err, heartbeat.ErrMalformed) {
			t.Error(err)
		}
	})
}

// If bytes can be parsed as an object, writing that object must produce the same
// bytes. Other bytes must cause no panic, and Verify must return no error for them.
func FuzzBinary(f *testing.F) {
	file := encode(f, new(0.01), 5000, heartbeat.EncodeOptions{Challenges: 5})
	state := file.State
	challenge := file.Challenge(f)
	for _, seed := range [][]byte{state, challenge, file.Tag, file.Prove(f, challenge)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := parseProof(b, nil); err == nil && !bytes.Equal(p.marshal(), b) {
			t.Errorf("proof %x: written as %x", b, p.marshal())
		}
		if s, err := parseState(b); err == nil && !bytes.Equal(s.marshal(), b) {
			t.Errorf("state %x: written as %x", b, s.marshal())
		}
		if c, err := parseChallenge(b); err == nil && !bytes.Equal(c.marshal(), b) {
			t.Errorf("challenge %x: written as %x", b, c.marshal())
		}
		var out bytes.Buffer
		if tag, err := parseTag(b); err == nil {
			if err := writeTag(&out, tag); err != nil || !bytes.Equal(out.Bytes(), b) {
				t.Errorf("tag %x: written as %x, %v", b, out.Bytes(), err)
			}
		}
		if _, err := file.Node.Verify(state, challenge, b); err != nil {
			t.Errorf("proof %x: %v", b, err)
		}
	})
}

// identity checks an object that can be parsed. If it is written and parsed again,
// the result must be the same object.
func identity(t *testing.T, wire []byte, parse func(json.RawMessage) ([]byte, error), write func([]byte) (json.RawMessage, error)) {
	t.Helper()
	object, err := parse(wire)
	if err != nil {
		if !errors.Is(err, heartbeat.ErrMalformed) {
			t.Error(err)
		}
		return
	}
	written, err := write(object)
	if err != nil {
		t.Fatalf("%s: it was parsed, but it cannot be written: %v", wire, err)
	}
	if again, err := parse(written); err != nil || !bytes.Equal(again, object) {
		t.Errorf("%s: written as %s, parsed as %x, %v", wire, written, again, err)
	}
}

// The tree nodes contain every value of a byte.
func TestAppendNodesEqualsBase64(t *testing.T) {
	t.Parallel()
	var nodes []byte
	want := "before"
	for i := range 256 {
		node := make([]byte, hashSize)
		for k := range node {
			node[k] = byte(i + 37*k)
		}
		nodes = append(nodes, node...)
		want += `"` + base64.StdEncoding.EncodeToString(node) + `",`
	}
	if got := appendNodes([]byte("before"), nodes); string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
}
