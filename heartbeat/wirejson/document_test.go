package wirejson_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat/wirejson"
)

// readA reads an object in memory. It passes the member a to read.
func readA(document string, read func(in *wirejson.Reader) error) error {
	in := wirejson.Of([]byte(document))
	if err := in.Members(func(int) error { return read(&in) }, "a"); err != nil {
		return err
	}
	return in.End()
}

func valueOfA(document string) (v json.RawMessage, err error) {
	err = readA(document, func(in *wirejson.Reader) (err error) {
		v, err = in.Value()
		return err
	})
	return v, err
}

// readWhole reads a document that consists of one value.
func readWhole(document []byte) (json.RawMessage, error) {
	in := wirejson.Of(document)
	v, err := in.Value()
	if end := in.End(); err == nil {
		err = end
	}
	return v, err
}

func TestDocumentIsRefused(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{``, ` `, `{`, `{"a"}`, `{"a":1,}`, `[1 2]`, `nul`, `01`, `"`, `1 2`, `{a:1}`, strings.Repeat("[", 20000)} {
		if v, err := readWhole([]byte(bad)); err == nil {
			t.Errorf("%.20s: read as %s", bad, v)
		}
	}
}

func TestMembers(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]string{
		`{"a":1}`:                              `1`,
		"\t{ \"a\" :\r\n 1 } ":                 `1`,
		"\t{ \"a\" :\r\n [ 1 ] \n} ":           `[ 1 ]`,
		`{"b":"a","a":"b"}`:                    `"b"`,
		`{"b":{"a":3},"a":{"a":4}}`:            `{"a":4}`,
		`{"b":["a",{"a":[]}],"a":[ ]}`:         `[ ]`,
		`{"b":"\"a\":1,","a":"}\\"}`:           `"}\\"`,
		`{"b":"]}","a":true,"c":null}`:         `true`,
		`{"\u0061":-1.5e3}`:                    `-1.5e3`,
		`{"a":1,"a":2}`:                        `2`,
		`{"":1,"a":null}`:                      `null`,
		`{"a":[],"":[{}],"\"":"","a":{ } }`:    `{ }`,
		`{"\ud83d\ude00":0,"a":0,"\\a":false}`: `0`,
	} {
		if got, err := valueOfA(document); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", document, got, err, want)
		}
	}
	for _, document := range []string{
		``, `{}`, `{"A":1}`, `{"b":"a"}`, `{"b":{"a":1}}`, `["a",1]`, `"a"`, `1`, `null`, `true`,
		`{"a":1}}`, `{"a":1,}`, `{"a":1`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":1 "b":2}`, `{"a":1]`, `[{"a":1}`,
	} {
		if got, err := valueOfA(document); err == nil {
			t.Errorf("%s: the member a is %s", document, got)
		}
	}
}

// After the first error, nothing more is read, whatever follows the error.
func TestMembersStopsAtAnError(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]bool{
		`{"a":"x","a":1}`:          false,
		`{"a":[1,{}],"a":1}`:       false,
		`{"a":2,"a":1}`:            true,
		`{"a":1,"a":"x"}`:          false,
		`{"a":1,"b":{"a":"x"}}`:    true,
		`{"a":"x","a":1,"b":[1,]}`: false,
	} {
		err := readA(document, func(in *wirejson.Reader) error {
			_, err := in.Int64()
			return err
		})
		if (err == nil) != want {
			t.Errorf("%s: %v", document, err)
		}
	}
}

func TestInt64(t *testing.T) {
	t.Parallel()
	var got int64
	read := func(in *wirejson.Reader) (err error) {
		got, err = in.Int64()
		return err
	}
	for text, want := range map[string]int64{"0": 0, "-0": 0, "-7 ": -7, "9223372036854775807": math.MaxInt64, "-9223372036854775808": math.MinInt64} {
		if err := readA(`{"a":`+text+`}`, read); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{`"0"`, `0.0`, `1e2`, `null`, `true`, `[0]`, `{}`, `9223372036854775808`, `10000000000000000000000`, `01`, `+1`, `-`} {
		if err := readA(`{"a":`+text+`}`, read); err == nil {
			t.Errorf("%s: %d", text, got)
		}
	}
}

func TestOptionalFloat64(t *testing.T) {
	t.Parallel()
	var got *float64
	read := func(in *wirejson.Reader) (err error) {
		got, err = in.OptionalFloat64()
		return err
	}
	for text, want := range map[string]float64{"0": 0, "1": 1, "-0.25": -0.25, "1e-2": 0.01} {
		if err := readA(`{"a":`+text+`}`, read); err != nil || got == nil || *got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if err := readA(`{"a":null}`, read); got != nil || err != nil {
		t.Errorf("null: %v, %v", got, err)
	}
	for _, document := range []string{`{"a":"1"}`, `{"a":1e999}`, `{"a":[]}`, `{"a":false}`, `{}`} {
		if err := readA(document, read); err == nil {
			t.Errorf("%s: %v", document, got)
		}
	}
}

func TestString(t *testing.T) {
	t.Parallel()
	var got string
	read := func(in *wirejson.Reader) (err error) {
		got, _, err = in.String()
		return err
	}
	if err := readA(`{"a":"AA\u0045C"}`, read); err != nil || got != "AAEC" {
		t.Errorf("escaped: %q, %v", got, err)
	}
	if err := readA(`{"a":7}`, read); err == nil {
		t.Errorf("number: %q", got)
	}
}

func TestBase64(t *testing.T) {
	t.Parallel()
	var got []byte
	read := func(in *wirejson.Reader) (err error) {
		got, err = in.AppendBase64([]byte("x"), 4)
		return err
	}
	for text, want := range map[string]string{
		`""`: "", `"AAEC"`: "\x00\x01\x02", `"AA\u0045C"`: "\x00\x01\x02", `"\u002fw=="`: "\xff", `"A\nA\r=="`: "\x00",
		`"YWJj\u0052A=="`: "abcD", `"YWJjRA=="`: "abcD",
	} {
		if err := readA(`{"a":`+text+`}`, read); err != nil || string(got) != "x"+want {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{
		`"AAE"`, `"_-_-"`, `"AB=="`, `7`, `null`, `["AAEC"]`, `"AAEC`, "\"AA\nA\"", "\"AAAA\n\"", "\"AAAA\r\"", `"A\ud800AA"`, `"A\u0100AA"`,
		`"YWJjREU="`, `"YWJj\u0052EU="`, `"` + strings.Repeat("AAAA", 100) + `"`,
	} {
		if err := readA(`{"a":`+text+`}`, read); err == nil {
			t.Errorf("%s: %q", text, got)
		}
	}
	if err := readA(`{"absent":""}`, read); err == nil {
		t.Error("a member that is absent was read")
	}
}

func TestArray(t *testing.T) {
	t.Parallel()
	var got []string
	n := 0
	wrong := errors.New("wrong")
	read := func(in *wirejson.Reader) (err error) {
		got = nil
		n, err = in.Array(func(int) error {
			v, err := in.Value()
			if got = append(got, string(v)); string(v) == `"wrong"` {
				err = wrong
			}
			return err
		})
		return err
	}
	for document, want := range map[string][]string{
		`[]`:                                 nil,
		` [ ] `:                              nil,
		`[1]`:                                {`1`},
		`[ 1 , [2,3] ,"," , {"a":[]}, null]`: {`1`, `[2,3]`, `","`, `{"a":[]}`, `null`},
	} {
		if err := readA(`{"a":`+document+`}`, read); err != nil || n != len(want) || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %d, %v, want %q", document, got, n, err, want)
		}
	}
	if err := readA(`{"a":[1,"wrong",[2],3]}`, read); !errors.Is(err, wrong) || n != 1 || len(got) != 2 {
		t.Errorf("%q, %d, %v", got, n, err)
	}
	for _, document := range []string{`{}`, `"[]"`, `null`, `1`, `[1,]`, `[,1]`, `[1 2]`, `[1}`, `[`, `["wrong",]`} {
		if err := readA(`{"a":`+document+`}`, read); err == nil {
			t.Errorf("%s: read as %q", document, got)
		}
	}
}

func TestDepth(t *testing.T) {
	t.Parallel()
	for _, depth := range []int{1, 63, 64, 65, 3333, 3334, 5000, 5001, 10000, 10001, 30000} {
		for _, brackets := range [][2]string{{"[", "]"}, {`{"a":`, "}"}, {`[{"":[`, "]}]"}, {`{"a":[`, "]}"}} {
			document := strings.Repeat(brackets[0], depth) + "1" + strings.Repeat(brackets[1], depth)
			if _, err := readWhole([]byte(document)); (err == nil) != json.Valid([]byte(document)) {
				t.Errorf("%d times %s: %v", depth, brackets[0], err)
			}
		}
	}
}

// encoding/json is the reference. It defines what is JSON, and where values start
// and end.
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,"\"",{"b":null}],"\u0061":"\\"}`, ` [ [ ] , { } , "]" , -1.5e3 , true ] `, `"\\\""`, `null`, `{"":{"":[]}}`,
		`{"a":12,"a":"AAEC"}`, `{"a":[],"a":12}`, `{"a":"\u0041\n=","b":[false,[],{"a":"\ud800"}]}`, `["AAEC",1.5,-0,1E+9]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		whole, err := readWhole(document)
		if (err == nil) != json.Valid(document) {
			t.Fatalf("%q: %v", document, err)
		}
		if trimmed := bytes.Trim(document, " \t\r\n"); err == nil && !bytes.Equal(whole, trimmed) {
			t.Errorf("%q: read %q", document, whole)
		}
		// No method may accept input that is not JSON.
		var members map[string]json.RawMessage
		var elements []json.RawMessage
		switch {
		case err != nil:
		case whole[0] == '{':
			_ = json.Unmarshal(document, &members)
		case whole[0] == '[':
			elements = []json.RawMessage{}
			_ = json.Unmarshal(document, &elements)
		}
		sameMembers(t, document, members)
		sameElements(t, document, elements)
	})
}

// sameMembers reads the members of an object with a Reader and with encoding/json,
// and compares the results. It reads the member a as each kind of value. If there
// are several members a, a Reader must accept all of them.
func sameMembers(t *testing.T, document []byte, members map[string]json.RawMessage) {
	t.Helper()
	for name, want := range members {
		var got json.RawMessage
		in := wirejson.Of(document)
		err := in.Members(func(int) (err error) {
			got, err = in.Value()
			return err
		}, name)
		if (err != nil || !bytes.Equal(got, want)) && !strings.Contains(name, "\ufffd") {
			t.Errorf("%q: member %q is %q, %v, want %q", document, name, got, err, want)
		}
	}
	several := 0
	_ = readA(string(document), func(in *wirejson.Reader) error {
		several++
		return in.Skip()
	})
	a, found := members["a"]
	if got, err := valueOfA(string(document)); (err == nil) != found || err == nil && !bytes.Equal(got, a) {
		t.Errorf("%q: member %q, %v, want %q", document, got, err, a)
	}
	same := func(kind string, read func(in *wirejson.Reader) (any, error), want any, wanted bool) {
		var got any
		err := readA(string(document), func(in *wirejson.Reader) (err error) {
			got, err = read(in)
			return err
		})
		if several < 2 && (err == nil) != wanted || err == nil && (!wanted || got != want) {
			t.Errorf("%q: %s %q, %v, want %q, %v", document, kind, got, err, want, wanted)
		}
	}

	n, nErr := strconv.ParseInt(string(a), 10, 64)
	same("integer", func(in *wirejson.Reader) (any, error) { return in.Int64() }, n, nErr == nil)

	var number *float64
	numberErr := json.Unmarshal(a, &number)
	same("number", func(in *wirejson.Reader) (any, error) {
		got, err := in.OptionalFloat64()
		return optional(got), err
	}, optional(number), numberErr == nil)

	var text *string
	textErr := json.Unmarshal(a, &text)
	same("string", func(in *wirejson.Reader) (any, error) {
		got, ok, err := in.String()
		if !ok {
			return nil, err
		}
		return got, err
	}, optional(text), textErr == nil)

	const most = 32
	b, bErr := []byte(nil), errors.New("not a string")
	if textErr == nil && text != nil {
		b, bErr = base64.StdEncoding.Strict().DecodeString(*text)
	}
	same("base64", func(in *wirejson.Reader) (any, error) {
		got, err := in.AppendBase64(nil, most)
		return string(got), err
	}, string(b), bErr == nil && len(b) <= most)
}

// optional returns what p points to, or nil.
func optional[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

// sameElements reads an array with a Reader and with encoding/json, and compares
// the results. want is nil if there is no array.
func sameElements(t *testing.T, document []byte, want []json.RawMessage) {
	t.Helper()
	in := wirejson.Of(document)
	var got []json.RawMessage
	n, err := in.Array(func(int) error {
		element, err := in.Value()
		got = append(got, element)
		return err
	})
	if end := in.End(); err == nil {
		err = end
	}
	if (err == nil) != (want != nil) {
		t.Fatalf("%q: %v, want %q", document, err, want)
	}
	if err == nil && (n != len(want) || fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want)) {
		t.Errorf("%q: elements %q, %d of them, want %q", document, got, n, want)
	}
}
