package wirejson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/driveshare/downstream-node/heartbeat/wirejson"
)

// item holds the values that the tests read from an object. A member that is absent
// is nil.
type item struct {
	Text *string         `json:"a_text"`
	Any  json.RawMessage `json:"any"`
}

func readItem(in *wirejson.Reader) (it item, err error) {
	err = in.Object(func(name []byte) error {
		switch {
		case wirejson.IsName(name, "a_text"):
			s, ok, err := in.String()
			if it.Text = nil; ok {
				it.Text = &s
			}
			return err
		case wirejson.IsName(name, "any"):
			v, err := in.Value()
			it.Any = bytes.Clone(v)
			return err
		}
		return in.Skip()
	})
	return it, err
}

// readList reads {"list": [item, ...]}.
func readList(in *wirejson.Reader) (list []item, err error) {
	err = in.Object(func(name []byte) error {
		if string(name) != "list" {
			return in.Skip()
		}
		_, err := in.Array(func(int) error {
			it, err := readItem(in)
			list = append(list, it)
			return err
		})
		return err
	})
	return list, err
}

// The reference functions read the same values with encoding/json. They reject null
// instead of an object, which encoding/json accepts.

func referenceItem(body io.Reader) (it item, err error) {
	var raw json.RawMessage
	if err := json.NewDecoder(body).Decode(&raw); err != nil {
		return it, err
	}
	if string(raw) == "null" {
		return it, errors.New("null")
	}
	return it, json.Unmarshal(raw, &it)
}

func referenceList(body io.Reader) (list []item, err error) {
	dec := json.NewDecoder(body)
	if err := expect(dec, json.Delim('{')); err != nil {
		return nil, err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		if key != "list" {
			if err := dec.Decode(new(json.RawMessage)); err != nil {
				return nil, err
			}
			continue
		}
		if err := expect(dec, json.Delim('[')); err != nil {
			return nil, err
		}
		for dec.More() {
			it, err := referenceElement(dec)
			if err != nil {
				return nil, err
			}
			list = append(list, it)
		}
		if err := expect(dec, json.Delim(']')); err != nil {
			return nil, err
		}
	}
	return list, expect(dec, json.Delim('}'))
}

func referenceElement(dec *json.Decoder) (it item, err error) {
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return it, err
	}
	return referenceItem(bytes.NewReader(raw))
}

func expect(dec *json.Decoder, want json.Delim) error {
	got, err := dec.Token()
	if err == nil && got != want {
		err = fmt.Errorf("%v in place of %v", got, want)
	}
	return err
}

// arrivals are the ways in which a stream can deliver a body.
var arrivals = map[string]func(io.Reader) io.Reader{
	"at once":           func(r io.Reader) io.Reader { return r },
	"byte by byte":      iotest.OneByteReader,
	"end with the data": iotest.DataErrReader,
}

// compare reads body with a Reader and with the reference, and compares the
// results.
func compare(t *testing.T, body string) {
	t.Helper()
	wantItem, wantItemErr := referenceItem(strings.NewReader(body))
	wantList, wantListErr := referenceList(strings.NewReader(body))
	var in wirejson.Reader
	for how, arrive := range arrivals {
		in.Reset(arrive(strings.NewReader(body)))
		it, err := readItem(&in)
		same(t, how+", object", body, it, wantItem, err, wantItemErr)
		in.Reset(arrive(strings.NewReader(body)))
		list, err := readList(&in)
		same(t, how+", array", body, list, wantList, err, wantListErr)
	}
}

func same(t *testing.T, what, body string, got, want any, err, wantErr error) {
	t.Helper()
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%s: error %v, want %v\n%.1000q", what, err, wantErr, body)
	}
	if empty := strings.Trim(body, " \t\r\n") == ""; errors.Is(err, io.EOF) != empty {
		t.Fatalf("%s: error %v, and the body is empty: %v\n%.1000q", what, err, empty, body)
	}
	if e := (*wirejson.Error)(nil); err != nil && !errors.As(err, &e) {
		t.Fatalf("%s: an error that is not the body's: %v", what, err)
	}
	if g, w := fmt.Sprint(shown(got)), fmt.Sprint(shown(want)); err == nil && g != w {
		t.Fatalf("%s: %.1000s, want %.1000s\n%.1000q", what, g, w, body)
	}
}

// shown formats v so that nil and empty values look different.
func shown(v any) any {
	if list, ok := v.([]item); ok {
		lines := make([]any, len(list))
		for i, it := range list {
			lines[i] = shown(it)
		}
		return lines
	}
	it := v.(item)
	text := "nil"
	if it.Text != nil {
		text = fmt.Sprintf("%q", *it.Text)
	}
	return fmt.Sprintf("%s %v %q", text, it.Any == nil, it.Any)
}

var bodies = []string{
	"", " \r\n\t", "{", "}", "[", "[]", "{}", "null", "nul", "true", "1", `"x"`, "\x00", "\xef\xbb\xbf{}",
	`{"a_text": "x", "any": 1}`, `{"any": 1, "a_text": "x"} and more`, " { } ", `{"a_text"}`, `{"a_text":}`, `{"a_text" "x"}`,
	`{"A_TEXT": "x", "Any": [1]}`, `{"any": 1, "ANY": 2, "any": null}`, `{"a_text": "x", "a_text": null}`, `{"a_tex\u0074": "x", "\u0061ny": {}}`,
	`{"a_text": 1}`, `{"a_text": {}, "a_text": "x"}`, `{"a_text": "\u00e9\ud83d\ude00\ud83d\"\\\/\b\f\n\r\t"}`, "{\"a_text\": \"\xff\xc3\"}", "{\"\xff\": 1}",
	`{"a_text": "\ud83d"}`, `{"a_text": "\ud83dx\ude00"}`, `{"a_text": "\ud83d\ud83d\ude00\uDE00\uabCD"}`, `{"a_text": "\ud83d\n"}`, `{"a_text": "\ufffd\u0000é"}`,
	"{\"a_text\": \"\\n\xe2\x82\\u00e9\xff\xff\"}",
	"{\"a_text\": \"\n\"}", `{"a_text": "\x"}`, `{"a_text": "\u12g4"}`, `{"a_text": "\u12`, `{"a_text": "`, `{"a_text": "\`,
	`{"any": -0.5e+7}`, `{"any": 01}`, `{"any": -}`, `{"any": 1.}`, `{"any": .5}`, `{"any": 1e}`, `{"any": 1e400}`, `{"any": +1}`,
	`{"any": tru}`, `{"any": truex}`, `{"any": false}`, `{"any": fals`, `{"any": 1,}`, `{,"any": 1}`, `{"any": 1,, "b": 2}`, `{"any": 1 "b": 2}`,
	`{"any": {"b": [1, {"c": "]}"}, []], "d": {}}}`, `{"any": [1 2]}`, `{"any": [1,]}`, `{"any": [,1]}`, `{"any": [1}`, `{"any": {"b": 1]}`, `{"any": {1: 2}}`,
	`{1: 2}`, `{null: 2}`, `{"list": []}`, `{"list": [{}, {"any": 1}]}`, `{"list": null}`, `{"list": {}}`, `{"list": [null]}`, `{"list": [1]}`, `{"LIST": [1]}`,
	`{"li\u0073t": [{"any": "x"}]}`, `{"list": [{"any": 1}], "list": [{"any": 2}], "more": [[]]}`, `{"list": [{"any": 1}`, `{"list": [{"any": 1}]`, `{"list": [{"any": 1},`,
	`{"list": [{"any": 1} {"any": 2}]}`, `{"list": [{"any": 1}],}`, `{"list": [{"any": 1}]] `, `{"list": [{"any": 1},]}`,
	`{"a_teſt": 1, "a_text": "ſ", "any": "K"}`, `{"a_text": "x` + strings.Repeat(" long", 10_000) + `", "any": 1}`,
	strings.Repeat(`{"any":`, 500) + "1" + strings.Repeat("}", 500), strings.Repeat("[", 20_000),
}

func TestAsEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, body := range bodies {
		compare(t, body)
	}
}

func FuzzReader(f *testing.F) {
	for _, body := range bodies {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		if strings.Count(body, "[")+strings.Count(body, "{") > 9_000 {
			return // encoding/json counts the depth of each element separately
		}
		compare(t, body)
	})
}

// If the input fails, the caller must get the error of the input.
func TestInputFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, body := range []string{"", "{", `{"any": "x`, `{"any": 1, `, `{"list": [{"any": [`} {
		var in wirejson.Reader
		in.Reset(io.MultiReader(strings.NewReader(body), iotest.ErrReader(broken)))
		if _, err := readList(&in); !errors.Is(err, broken) {
			t.Errorf("%q: %v", body, err)
		}
	}
}

// After the first error, every method must return that error.
func TestErrorIsTheLast(t *testing.T) {
	t.Parallel()
	var in wirejson.Reader
	in.Reset(strings.NewReader(`[1, 2`))
	_, first := in.Value()
	_, second := in.Value()
	if first == nil || second != first {
		t.Errorf("%v, and then %v", first, second)
	}
	mine := errors.New("mine")
	in.Reset(strings.NewReader(`[1, 2]`))
	if _, err := in.Array(func(int) error { return mine }); err != mine {
		t.Errorf("%v, want the error of the caller", err)
	}
}

// A value that is skipped must take no memory. A value that is read must take
// memory in proportion to its length. This test is not parallel, because it
// measures the whole process.
func TestMemory(t *testing.T) {
	const length = 4 << 20
	for _, tt := range []struct {
		name  string
		limit int
		most  uint64
		err   error
	}{
		{"more", 0, 64 << 10, nil},
		{"any", 0, 4 * length, nil},
		{"any", 32 << 10, 128 << 10, wirejson.ErrTooLarge},
	} {
		name, most := tt.name, tt.most
		body := io.MultiReader(strings.NewReader(`{"`+name+`": "`), io.LimitReader(endless{}, length), strings.NewReader(`"}`))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var in wirejson.Reader
		in.Reset(body)
		in.Limit(tt.limit)
		err := in.Object(func(name []byte) error {
			if string(name) == "any" {
				_, err := in.Value()
				return err
			}
			return in.Skip()
		})
		runtime.ReadMemStats(&after)
		if held := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, tt.err) || held > most {
			t.Errorf("%q: %d bytes for a value of %d, want %d at most; %v", name, held, length, most, err)
		}
	}
}

// A value, string or name above the limit is an error, whatever the size of the window
// and of the reads. A value that is skipped has no limit.
func TestLimit(t *testing.T) {
	t.Parallel()
	const limit = 20_000 // more than the first window
	text := func(size int) string { return strings.Repeat("x", size) }
	for _, tt := range []struct {
		name, body string
		err        error
	}{
		{"a string at the limit", `{"a_text": "` + text(limit-2) + `"}`, nil},
		{"a string above the limit", `{"a_text": "` + text(limit-1) + `"}`, wirejson.ErrTooLarge},
		{"a value at the limit", `{"any": "` + text(limit-2) + `"}`, nil},
		{"a value above the limit", `{"any": "` + text(limit-1) + `"}`, wirejson.ErrTooLarge},
		{"nested arrays", `{"any": ` + strings.Repeat("[", 9000) + strings.Repeat(" ", limit) + strings.Repeat("]", 9000) + `}`, wirejson.ErrTooLarge},
		{"digits", `{"any": ` + strings.Repeat("1", 100_000) + `}`, wirejson.ErrTooLarge},
		{"escapes", `{"a_text": "` + strings.Repeat(`\u0041`, limit) + `"}`, wirejson.ErrTooLarge},
		{"a name", `{"` + text(100_000) + `": 1}`, wirejson.ErrTooLarge},
		{"a string that does not end", `{"a_text": "` + text(100_000), io.ErrUnexpectedEOF},
		{"a skipped value", `{"more": "` + text(100_000) + `", "any": 1}`, nil},
		{"many values", `{` + strings.Repeat(`"any": [1, 2], `, 10_000) + `"any": 1}`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var large wirejson.Reader // its window is larger than the limit
			large.Reset(strings.NewReader(`"` + text(100_000) + `"`))
			if _, err := large.Value(); err != nil {
				t.Fatal(err)
			}
			for _, in := range []*wirejson.Reader{new(wirejson.Reader), &large} {
				for _, body := range []io.Reader{strings.NewReader(tt.body), iotest.OneByteReader(strings.NewReader(tt.body))} {
					in.Reset(body)
					in.Limit(limit)
					if _, err := readItem(in); !errors.Is(err, tt.err) {
						t.Errorf("%v, want %v", err, tt.err)
					}
				}
			}
		})
	}
}

// After a value that is too large, the caller can read the values that follow.
func TestReadOnAfterTooLarge(t *testing.T) {
	t.Parallel()
	const limit = 20_000
	long := strings.Repeat("x", 5*limit)
	body := `["` + long + `", 1, {"` + "a" + `": "` + long + `"}, [` + strings.Repeat(" ", limit) + `], "last"]`
	for _, body := range []io.Reader{strings.NewReader(body), iotest.OneByteReader(strings.NewReader(body))} {
		var in wirejson.Reader
		in.Reset(body)
		in.Limit(limit)
		var got []string
		_, err := in.Array(func(i int) error {
			switch i {
			case 0, 4:
				text, _, err := in.String()
				got = append(got, text)
				return ignoreTooLarge(err)
			}
			v, err := in.Value()
			got = append(got, string(v))
			return ignoreTooLarge(err)
		})
		if want := []string{"", "1", "", "", "last"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
}

func ignoreTooLarge(err error) error {
	if errors.Is(err, wirejson.ErrTooLarge) {
		return nil
	}
	return err
}

// endless is an input that never ends. It consists of the letter x.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
