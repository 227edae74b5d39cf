package swizzle

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/big"
	"runtime"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
)

func TestIntegersHaveOneForm(t *testing.T) {
	t.Parallel()
	for _, v := range []*big.Int{new(big.Int), big.NewInt(1), big.NewInt(255), big.NewInt(256), new(big.Int).Lsh(big.NewInt(1), 8*maxInteger-1)} {
		b := appendInteger(nil, v.Bytes())
		d := decoder{rest: b}
		got := new(big.Int).SetBytes(d.integer())
		if err := d.end(); err != nil || got.Cmp(v) != 0 {
			t.Errorf("%v: %x, read as %v, %v", v, b, got, err)
		}
	}
	for name, b := range map[string][]byte{
		"no length":       {1, 0, 0},
		"no bytes":        {0, 0, 0, 0},
		"cut short":       {2, 0, 0, 0, 1},
		"not shortest":    {2, 0, 0, 0, 0, 1},
		"two zeros":       {2, 0, 0, 0, 0, 0},
		"too long":        appendBlock(nil, bytes.Repeat([]byte{1}, maxInteger+1)),
		"length of 2^32":  {255, 255, 255, 255, 1},
		"length of 2^31":  {0, 0, 0, 128, 1},
		"something after": {1, 0, 0, 0, 1, 1},
	} {
		d := decoder{rest: b}
		d.integer()
		if d.end() == nil {
			t.Errorf("%s: %x was accepted", name, b)
		}
	}
}

// A length that is greater than the input must not cause an allocation. This test
// is not parallel, because it counts the allocations of the process.
func TestLengthsBeyondTheInputAllocateNothing(t *testing.T) {
	huge := make([]byte, 64)
	binary.LittleEndian.PutUint32(huge, 1<<32-1)
	for name, parse := range map[string]func() error{
		"tag":   func() error { _, err := parseTag(huge); return err },
		"proof": func() error { _, err := parseProof(huge); return err },
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := parse(); err == nil {
			t.Errorf("%s: parsed without an error", name)
		}
		runtime.ReadMemStats(&after)
		if all := after.TotalAlloc - before.TotalAlloc; all > 1<<20 {
			t.Errorf("%s of %d bytes: allocated %d", name, len(huge), all)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	v := readVectors(t)[3]
	for object, given := range map[string]struct {
		wire  json.RawMessage
		parse func(json.RawMessage) ([]byte, error)
	}{
		"tag":       {v.Tag, Wire{}.ParseTag},
		"challenge": {v.Rounds[0].Challenge, Wire{}.ParseChallenge},
		"proof":     {v.Rounds[0].Proof, Wire{}.ParseProof},
		"private": {v.Heartbeat, func(wire json.RawMessage) ([]byte, error) {
			_, err := Parse(wire, 0.5)
			return nil, err
		}},
		"public": {v.Public, func(wire json.RawMessage) ([]byte, error) {
			_, err := ParsePublic(wire)
			return nil, err
		}},
	} {
		if _, err := given.parse(given.wire); err != nil {
			t.Errorf("%s: %v", object, err)
		}
		text := strings.Trim(string(given.wire), `"`)
		for _, bad := range []string{
			``, `null`, `7`, `{}`, `[]`, `""`, `"AAAA"`, `"` + text, text,
			`["` + text + `"]`,
			`"` + text[4:] + `"`,
			`"` + text[:len(text)-8] + `"`,
			`"` + text + `AAAA"`,
			`"` + strings.Replace(text, "A", "-", 1) + `"`,
		} {
			if _, err := given.parse(json.RawMessage(bad)); !errors.Is(err, heartbeat.ErrMalformed) {
				t.Errorf("%s %.40s: %v", object, bad, err)
			}
		}
	}
}

func TestParseHeartbeatRefuses(t *testing.T) {
	t.Parallel()
	v := readVectors(t)[0]
	h, p := parseVector(t, v)
	if _, err := Parse(h.Public(), 0.5); !errors.Is(err, heartbeat.ErrMalformed) {
		t.Errorf("public one as private: %v", err)
	}
	if _, err := ParsePublic(h.Private()); !errors.Is(err, heartbeat.ErrMalformed) {
		t.Errorf("private one as public: %v", err)
	}
	for name, f := range map[string]field{
		"no sectors":          {p.p, 0, 128},
		"too many sectors":    {p.p, maxSectors + 1, 128},
		"sectors of 127":      {p.p, 10, 127},
		"sectors of no bytes": {big.NewInt(3), 10, 0},
		"no prime":            {new(big.Int), 10, 0},
		"an even prime":       {new(big.Int).Sub(p.p, big.NewInt(1)), 10, 128},
		"a prime too large":   {new(big.Int).SetBit(p.p, 1024, 1), 10, 128},
	} {
		if _, err := ParsePublic(marshalWire(appendField([]byte{flagPublic}, f))); !errors.Is(err, heartbeat.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWriteTagJSONRefuses(t *testing.T) {
	t.Parallel()
	tag := mustWire(t, readVectors(t)[3].Tag)
	long := appendBlock(appendU32(nil, 1), make([]byte, maxInteger+1))
	for name, bad := range map[string][]byte{
		"empty":            {},
		"cut in a length":  tag[:6],
		"cut in a sigma":   tag[:len(tag)-1],
		"cut between":      tag[:len(tag)/2],
		"too long":         append(bytes.Clone(tag), 0),
		"too long a sigma": long,
	} {
		if err := (Wire{}).WriteTagJSON(new(bytes.Buffer), bytes.NewReader(bad)); !errors.Is(err, heartbeat.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseHeartbeat(f *testing.F) {
	for _, v := range readVectors(f)[3:6] {
		f.Add(mustWire(f, v.Heartbeat))
		f.Add(mustWire(f, v.Public))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := parsePrivate(b); err == nil && !bytes.Equal(mustWire(t, h.Private()), b) {
			t.Errorf("private %x: written as %s", b, h.Private())
		}
		if field, err := parsePublic(b); err == nil && !bytes.Equal(appendField([]byte{flagPublic}, field), b) {
			t.Errorf("public %x: written as %x", b, appendField([]byte{flagPublic}, field))
		}
	})
}

func FuzzParseTag(f *testing.F) {
	for _, v := range readVectors(f)[:6] {
		f.Add(mustWire(f, v.Tag))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tag, err := parseTag(b)
		var wire bytes.Buffer
		writeErr := Wire{}.WriteTagJSON(&wire, bytes.NewReader(b))
		if err != nil {
			return
		}
		if writeErr != nil || !bytes.Equal(mustWire(t, wire.Bytes()), b) {
			t.Errorf("tag %x: written as %s, %v", b, wire.Bytes(), writeErr)
		}
		again := appendU32(nil, tag.n())
		for i := range tag.n() {
			again = appendBlock(again, tag.sigma(i))
		}
		if !bytes.Equal(again, b) {
			t.Errorf("tag %x: a tag with the same sigmas is %x", b, again)
		}
	})
}

func FuzzParseChallenge(f *testing.F) {
	for _, v := range readVectors(f)[3:6] {
		f.Add(mustWire(f, v.Rounds[0].Challenge))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := parseChallenge(b); err == nil && !bytes.Equal(c.marshal(), b) {
			t.Errorf("challenge %x: written as %x", b, c.marshal())
		}
	})
}

func FuzzParseProof(f *testing.F) {
	v := readVectors(f)[3]
	h, _ := parseVector(f, v)
	challenge := mustWire(f, v.Rounds[0].Challenge)
	for _, round := range v.Rounds {
		f.Add(mustWire(f, round.Proof))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := parseProof(b); err == nil && !bytes.Equal(p.marshal(), b) {
			t.Errorf("proof %x: written as %x", b, p.marshal())
		}
		if _, err := h.Verify(v.State, challenge, b); err != nil {
			t.Errorf("proof %x: %v", b, err)
		}
	})
}

// openState parses the signed part of a state only if the signature is correct. So
// the test opens the input as a state, and also as the signed part of a state.
func FuzzParseState(f *testing.F) {
	v := readVectors(f)[3]
	h, _ := parseVector(f, v)
	f.Add(v.State)
	f.Add(v.State[8:108])
	f.Fuzz(func(t *testing.T, b []byte) {
		signed := appendBlock(nil, appendBlock(appendBlock(nil, b), h.seal.sign(b)))
		for _, b := range [][]byte{b, signed} {
			if _, err := h.openState(b); err != nil && !errors.Is(err, heartbeat.ErrMalformed) {
				t.Error(err)
			}
		}
	})
}

// The test parses the input as the JSON form of each object.
func FuzzWire(f *testing.F) {
	v := readVectors(f)[3]
	for _, wire := range []json.RawMessage{v.Tag, v.Rounds[0].Challenge, v.Rounds[0].Proof} {
		f.Add([]byte(wire))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		for _, parse := range []func(json.RawMessage) ([]byte, error){Wire{}.ParseTag, Wire{}.ParseChallenge, Wire{}.ParseProof} {
			b, err := parse(wire)
			if err != nil {
				if !errors.Is(err, heartbeat.ErrMalformed) {
					t.Error(err)
				}
				continue
			}
			if again, err := parse(marshalWire(b)); err != nil || !bytes.Equal(again, b) {
				t.Errorf("%s: %x, then %x, %v", wire, b, again, err)
			}
		}
	})
}
