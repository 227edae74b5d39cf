package strictjson_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat/internal/strictjson"
)

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{``, ` `, `{`, `{"a"}`, `{"a":1,}`, `[1 2]`, `nul`, `01`, `"`, `1 2`, `{a:1}`, strings.Repeat("[", 20000)} {
		if v, err := strictjson.Parse(json.RawMessage(bad)); err == nil {
			t.Errorf("%.20s: parsed as %s", bad, v)
		}
	}
}

func TestMember(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ document, want string }{
		{`{"a":1}`, `1`},
		{"\t{ \"a\" :\r\n 1 } ", `1`},
		{`{"b":"a","a":"b"}`, `"b"`},
		{`{"b":{"a":3},"a":{"a":4}}`, `{"a":4}`},
		{`{"b":["a",{"a":[]}],"a":[ ]}`, `[ ]`},
		{`{"b":"\"a\":1,","a":"}\\"}`, `"}\\"`},
		{`{"b":"]}","a":true,"c":null}`, `true`},
		{`{"\u0061":-1.5e3}`, `-1.5e3`},
		{`{"a":1,"a":2}`, `2`},
		{`{"":1,"a":null}`, `null`},
	} {
		got, err := parse(t, test.document).Member("a")
		if err != nil || string(got) != test.want {
			t.Errorf("%s: %s, %v, want %s", test.document, got, err, test.want)
		}
		if !parse(t, test.document).Has("a") {
			t.Errorf("%s: has no a", test.document)
		}
	}
	for _, document := range []string{`{}`, `{"A":1}`, `{"b":"a"}`, `{"b":{"a":1}}`, `["a",1]`, `"a"`, `1`, `null`, `true`} {
		if got, err := parse(t, document).Member("a"); err == nil {
			t.Errorf("%s: %s", document, got)
		}
		if parse(t, document).Has("a") {
			t.Errorf("%s: has an a", document)
		}
	}
}

func TestInt64(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"0": 0, "-0": 0, "-7": -7, "9223372036854775807": math.MaxInt64, "-9223372036854775808": math.MinInt64} {
		if got, err := parse(t, `{"a":`+text+`}`).Int64("a"); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{`"0"`, `0.0`, `1e2`, `null`, `true`, `[0]`, `{}`, `9223372036854775808`} {
		if got, err := parse(t, `{"a":`+text+`}`).Int64("a"); err == nil {
			t.Errorf("%s: %d", text, got)
		}
	}
}

func TestOptionalFloat64(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]float64{"0": 0, "1": 1, "-0.25": -0.25, "1e-2": 0.01} {
		if got, err := parse(t, `{"a":`+text+`}`).OptionalFloat64("a"); err != nil || got == nil || *got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if got, err := parse(t, `{"a":null}`).OptionalFloat64("a"); got != nil || err != nil {
		t.Errorf("null: %v, %v", got, err)
	}
	for _, document := range []string{`{"a":"1"}`, `{"a":1e999}`, `{"a":[]}`, `{"a":false}`, `{}`} {
		if got, err := parse(t, document).OptionalFloat64("a"); err == nil {
			t.Errorf("%s: %v", document, got)
		}
	}
}

func TestStrings(t *testing.T) {
	t.Parallel()
	v := parse(t, `{"plain":"AAEC","escaped":"AA\u0045C","empty":"","odd":"AAE","url":"_-_-","bits":"AB==","number":7}`)
	if got, err := v.String("escaped"); err != nil || got != "AAEC" {
		t.Errorf("escaped: %q, %v", got, err)
	}
	if got, err := v.String("number"); err == nil {
		t.Errorf("number: %q", got)
	}
	for name, want := range map[string][]byte{"plain": {0, 1, 2}, "escaped": {0, 1, 2}, "empty": {}} {
		if got, err := v.Base64(name); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
	for _, name := range []string{"odd", "url", "bits", "number", "absent"} {
		if got, err := v.Base64(name); err == nil {
			t.Errorf("%s: %x", name, got)
		}
	}
}

func TestElements(t *testing.T) {
	t.Parallel()
	for document, want := range map[string][]string{
		`[]`:                                 nil,
		` [ ] `:                              nil,
		`[1]`:                                {`1`},
		`[ 1 , [2,3] ,"," , {"a":[]}, null]`: {`1`, `[2,3]`, `","`, `{"a":[]}`, `null`},
	} {
		elements, err := parse(t, document).Elements()
		if err != nil {
			t.Errorf("%s: %v", document, err)
			continue
		}
		var got []string
		for element := range elements {
			got = append(got, string(element))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", document, got, want)
		}
	}
	for _, document := range []string{`{}`, `"[]"`, `null`, `1`} {
		if _, err := parse(t, document).Elements(); err == nil {
			t.Errorf("%s: has elements", document)
		}
	}
}

// encoding/json is the second opinion on where values begin and end.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,"\"",{"b":null}],"\u0061":"\\"}`, ` [ [ ] , { } , "]" , -1.5e3 , true ] `, `"\\\""`, `null`, `{"":{"":[]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		v, err := strictjson.Parse(document)
		if (err == nil) != json.Valid(document) {
			t.Fatalf("%q: %v", document, err)
		}
		if err != nil {
			return
		}
		var members map[string]json.RawMessage
		if v[0] == '{' && json.Unmarshal(document, &members) == nil {
			for name, want := range members {
				if got, err := v.Member(name); (err != nil || string(got) != string(want)) && !strings.Contains(name, "\ufffd") {
					t.Errorf("%q: member %q is %q, %v, want %q", document, name, got, err, want)
				}
			}
		}
		var elements []json.RawMessage
		if v[0] == '[' && json.Unmarshal(document, &elements) == nil {
			got, err := v.Elements()
			if err != nil {
				t.Fatal(err)
			}
			var all []json.RawMessage
			for element := range got {
				all = append(all, json.RawMessage(element))
			}
			if fmt.Sprintf("%q", all) != fmt.Sprintf("%q", elements) {
				t.Errorf("%q: elements %q, want %q", document, all, elements)
			}
		}
		// None of these may panic, whatever the value is.
		v.Has("a")
		_, _ = v.Int64("a")
		_, _ = v.OptionalFloat64("a")
		_, _ = v.String("a")
		_, _ = v.Base64("a")
		_, _ = v.AppendBase64(nil)
	})
}

func parse(t *testing.T, document string) strictjson.Value {
	t.Helper()
	v, err := strictjson.Parse(json.RawMessage(document))
	if err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	return v
}
