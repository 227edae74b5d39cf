package schemes_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/filestream"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/heartbeat/swizzle"
)

var all = []heartbeat.Type{heartbeat.Merkle, heartbeat.Swizzle}

// Both sides read their keys from files. Every object is converted to its wire form
// and back.
func TestRoundThroughTheWire(t *testing.T) {
	t.Parallel()
	for _, scheme := range all {
		t.Run(string(scheme), func(t *testing.T) {
			t.Parallel()
			node := newHeartbeat(t, scheme, new(0.1))
			farmer, err := schemes.ParsePublicFile(schemes.MarshalPublicFile(node))
			if err != nil {
				t.Fatal(err)
			}
			if node.Type() != scheme || farmer.Type() != scheme {
				t.Errorf("types %s and %s", node.Type(), farmer.Type())
			}
			const size = 40000
			file := filestream.New("file", size)
			var tag, tagWire bytes.Buffer
			state, err := node.Encode(t.Context(), file, size, &tag, heartbeat.EncodeOptions{})
			check(t, err)
			check(t, node.WriteTagJSON(&tagWire, bytes.NewReader(tag.Bytes())))
			var sent bytes.Buffer
			buffered := bufio.NewWriterSize(&sent, 2*tagWire.Len())
			check(t, node.WriteTagJSON(buffered, bytes.NewReader(tag.Bytes())))
			if early := sent.Len(); early > 0 || buffered.Flush() != nil || !bytes.Equal(sent.Bytes(), tagWire.Bytes()) {
				t.Errorf("through a buffer, %d bytes were written before the flush, and %d of %d after it", early, sent.Len(), tagWire.Len())
			}
			farmersTag, err := farmer.ParseTag(tagWire.Bytes())
			check(t, err)
			if !bytes.Equal(farmersTag, tag.Bytes()) {
				t.Error("the wire form changes the tag")
			}

			// The node can restart after the encoding.
			node, err = schemes.ParseFile(schemes.MarshalFile(node))
			check(t, err)
			for range 3 {
				challenge, next, err := node.Challenge(state)
				check(t, err)
				received := wire(t, challenge, node.ChallengeJSON, farmer.ParseChallenge)
				proof, err := farmer.Prove(t.Context(), file, size, farmersTag, received)
				check(t, err)
				sent := wire(t, proof, farmer.ProofJSON, node.ParseProof)
				for _, s := range [][]byte{state, next} {
					if valid, err := node.Verify(s, challenge, sent); !valid || err != nil {
						t.Errorf("valid %v, %v", valid, err)
					}
				}
				state = next
			}
			for _, junk := range [][]byte{nil, {0}, state, tag.Bytes()} {
				challenge, _, err := node.Challenge(state)
				check(t, err)
				if valid, err := node.Verify(state, challenge, junk); valid || err != nil {
					t.Errorf("junk as a proof: valid %v, %v", valid, err)
				}
			}
		})
	}
}

// Encode must write the whole content in order, and must return the errors of the
// writer.
func TestEncodeWritesContent(t *testing.T) {
	t.Parallel()
	for _, scheme := range all {
		node := newHeartbeat(t, scheme, new(0.1))
		for _, size := range []int64{0, 1, 1280, 100_000, 1_000_000} {
			file := filestream.New("content", size)
			want := make([]byte, size)
			if _, err := file.ReadAt(want, 0); size > 0 {
				check(t, err)
			}
			var content bytes.Buffer
			_, err := node.Encode(t.Context(), file, size, io.Discard, heartbeat.EncodeOptions{Content: &content})
			check(t, err)
			if !bytes.Equal(content.Bytes(), want) {
				t.Errorf("%s: %d bytes of content, not the file of %d bytes", scheme, content.Len(), size)
			}
			full := errors.New("disk full")
			_, err = node.Encode(t.Context(), file, size, io.Discard, heartbeat.EncodeOptions{Content: failing{full}})
			if size > 0 && !errors.Is(err, full) {
				t.Errorf("%s: content of %d bytes not written: %v", scheme, size, err)
			}
			_, err = node.Encode(t.Context(), file, size+1, io.Discard, heartbeat.EncodeOptions{Content: &content})
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s: file of %d bytes cut short: %v", scheme, size, err)
			}
		}
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// wire sends an object from one side to the other in its wire form.
func wire(t *testing.T, object []byte, write func([]byte) (json.RawMessage, error), parse func(json.RawMessage) ([]byte, error)) []byte {
	t.Helper()
	raw, err := write(object)
	check(t, err)
	got, err := parse(raw)
	check(t, err)
	if !bytes.Equal(got, object) {
		t.Errorf("the wire form changes %x to %x", object, got)
	}
	return got
}

func TestHeartbeatFiles(t *testing.T) {
	t.Parallel()
	for _, scheme := range all {
		h := newHeartbeat(t, scheme, new(0.25))
		private := schemes.MarshalFile(h)
		again, err := schemes.ParseFile(private)
		check(t, err)
		if got := schemes.MarshalFile(again); !bytes.Equal(got, private) {
			t.Errorf("%s, read and written again: %s", private, got)
		}
		if _, err := schemes.ParseFile(schemes.MarshalPublicFile(h)); !errors.Is(err, heartbeat.ErrMalformed) {
			t.Errorf("%s: public file as private: %v", scheme, err)
		}
		if _, err := schemes.ParsePublicFile(private); !errors.Is(err, heartbeat.ErrMalformed) {
			t.Errorf("%s: private file as public: %v", scheme, err)
		}
		// The response to /new has one additional member.
		response := strings.Replace(string(schemes.MarshalPublicFile(h)), "{", `{"token":"00",`, 1)
		if _, err := schemes.ParsePublicFile([]byte(response)); err != nil {
			t.Errorf("%s: %v", response, err)
		}
	}
	for _, bad := range []string{
		``, `null`, `{}`, `{"type":"Merkle"}`, `{"heartbeat":""}`, `{"type":7,"heartbeat":""}`,
		`{"type":"merkle","heartbeat":{"key":"","check_fraction":null}}`,
		`{"type":"Swizzle","heartbeat":{"key":"","check_fraction":null}}`,
		`{"type":"Swizzle","heartbeat":"","check_fraction":"x"}`,
	} {
		if _, err := schemes.ParseFile([]byte(bad)); !errors.Is(err, heartbeat.ErrMalformed) {
			t.Errorf("private %s: %v", bad, err)
		}
		if _, err := schemes.ParsePublicFile([]byte(bad)); !errors.Is(err, heartbeat.ErrMalformed) {
			t.Errorf("public %s: %v", bad, err)
		}
	}
}

func TestCheckFractions(t *testing.T) {
	t.Parallel()
	m := newHeartbeat(t, heartbeat.Merkle, nil)
	for _, test := range []struct {
		given *float64
		want  string
	}{
		{nil, `{"key":"","check_fraction":null}`},
		{new(0.5), `{"key":"","check_fraction":0.5}`},
	} {
		h, err := schemes.ParsePrivate(heartbeat.Merkle, m.Private(), test.given)
		check(t, err)
		if got := string(h.Public()); got != test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
	}

	s := newHeartbeat(t, heartbeat.Swizzle, nil)
	for _, test := range []struct {
		file string
		want float64
	}{
		{`{"type":"Swizzle","heartbeat":` + string(s.Private()) + `}`, swizzle.DefaultCheckFraction},
		{`{"type":"Swizzle","heartbeat":` + string(s.Private()) + `,"check_fraction":null}`, swizzle.DefaultCheckFraction},
		{`{"type":"Swizzle","heartbeat":` + string(s.Private()) + `,"check_fraction":0.5}`, 0.5},
	} {
		h, err := schemes.ParseFile([]byte(test.file))
		check(t, err)
		if got := h.(*swizzle.Heartbeat).CheckFraction(); got != test.want {
			t.Errorf("check fraction %v, want %v", got, test.want)
		}
	}

	for _, scheme := range all {
		if _, err := schemes.New(scheme, new(1.5)); err == nil {
			t.Errorf("%s: a check fraction of 1.5 was accepted", scheme)
		}
	}
}

func TestFingerprintNamesKeysOnly(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for range 2 {
		for _, scheme := range all {
			h := newHeartbeat(t, scheme, nil)
			name := schemes.Fingerprint(h)
			if len(name) != 64 || seen[name] {
				t.Errorf("fingerprint %q", name)
			}
			seen[name] = true
			other, err := schemes.ParsePrivate(scheme, h.Private(), new(0.5))
			check(t, err)
			if schemes.Fingerprint(other) != name {
				t.Errorf("%s: the fingerprint depends on the check fraction", scheme)
			}
		}
	}
}

func TestUnknownTypeIsAnError(t *testing.T) {
	t.Parallel()
	if h, err := schemes.New("Merkel", nil); h != nil || err == nil {
		t.Errorf("new: %v, %v", h, err)
	}
	if h, err := schemes.ParsePrivate("", nil, nil); h != nil || !errors.Is(err, heartbeat.ErrMalformed) {
		t.Errorf("private: %v, %v", h, err)
	}
	if p, err := schemes.ParsePublic("", nil); p != nil || !errors.Is(err, heartbeat.ErrMalformed) {
		t.Errorf("public: %v, %v", p, err)
	}
}

// If a function fails, it must return a nil interface, and not an interface that
// holds a nil pointer.
func TestNilOnError(t *testing.T) {
	t.Parallel()
	for _, scheme := range all {
		if h, err := schemes.ParsePrivate(scheme, nil, nil); h != nil || err == nil {
			t.Errorf("%s: %v, %v", scheme, h, err)
		}
		if p, err := schemes.ParsePublic(scheme, nil); p != nil || err == nil {
			t.Errorf("%s: %v, %v", scheme, p, err)
		}
	}
}

func newHeartbeat(t *testing.T, scheme heartbeat.Type, fraction *float64) heartbeat.Heartbeat {
	t.Helper()
	h, err := schemes.New(scheme, fraction)
	check(t, err)
	return h
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
