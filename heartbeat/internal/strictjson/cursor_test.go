package strictjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat/internal/strictjson"
)

// readA reads an object of which only the member a counts.
func readA(document string, read func(c *strictjson.Cursor) error) error {
	c := strictjson.NewCursor([]byte(document))
	if err := c.Object(func(int) error { return read(&c) }, "a"); err != nil {
		return err
	}
	return c.End()
}

func TestCursorObject(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]string{
		`{"a":1}`:                              `1`,
		"\t{ \"a\" :\r\n [ 1 ] \n} ":           `[ 1 ]`,
		`{"b":{"a":3},"a":{"a":4}}`:            `{"a":4}`,
		`{"b":"\"a\":1,","a":"}\\"}`:           `"}\\"`,
		`{"\u0061":-1.5e3}`:                    `-1.5e3`,
		`{"a":1,"a":2}`:                        `2`,
		`{"a":[],"":[{}],"\"":"","a":{ } }`:    `{ }`,
		`{"\ud83d\ude00":0,"a":0,"\\a":false}`: `0`,
	} {
		var got strictjson.Value
		err := readA(document, func(c *strictjson.Cursor) (err error) {
			got, err = c.Value()
			return err
		})
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", document, got, err, want)
		}
	}
	for _, document := range []string{
		``, `{}`, `{"A":1}`, `{"b":"a"}`, `{"b":{"a":1}}`, `["a",1]`, `"a"`, `1`, `null`,
		`{"a":1}}`, `{"a":1,}`, `{"a":1`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":1 "b":2}`, `{"a":1]`, `[{"a":1}`,
	} {
		if err := readA(document, func(c *strictjson.Cursor) error {
			_, err := c.Value()
			return err
		}); err == nil {
			t.Errorf("%s: has an a", document)
		}
	}
}

// The first error is the last, whatever comes after it.
func TestCursorStopsAtAnError(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]bool{
		`{"a":"x","a":1}`:          false,
		`{"a":[1,{}],"a":1}`:       false,
		`{"a":2,"a":1}`:            true,
		`{"a":1,"a":"x"}`:          false,
		`{"a":1,"b":{"a":"x"}}`:    true,
		`{"a":"x","a":1,"b":[1,]}`: false,
	} {
		err := readA(document, func(c *strictjson.Cursor) error {
			_, err := c.Int64()
			return err
		})
		if (err == nil) != want {
			t.Errorf("%s: %v", document, err)
		}
	}
}

func TestCursorInt64(t *testing.T) {
	t.Parallel()
	var got int64
	read := func(c *strictjson.Cursor) (err error) {
		got, err = c.Int64()
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

func TestCursorBase64(t *testing.T) {
	t.Parallel()
	var got []byte
	read := func(c *strictjson.Cursor) (err error) {
		got, err = c.AppendBase64([]byte("x"), 4)
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
}

func TestCursorArray(t *testing.T) {
	t.Parallel()
	var got []string
	n := 0
	wrong := errors.New("wrong")
	read := func(c *strictjson.Cursor) (err error) {
		got = nil
		n, err = c.Array(func(i int) error {
			v, err := c.Value()
			if got = append(got, string(v)); string(v) == `"wrong"` {
				err = wrong
			}
			return err
		})
		return err
	}
	for document, want := range map[string]int{`[]`: 0, ` [ ] `: 0, `[1]`: 1, `[ 1 , [2,3] ,"," , {"a":[]}, null]`: 5} {
		if err := readA(`{"a":`+document+`}`, read); err != nil || n != want || len(got) != want {
			t.Errorf("%s: %q, %d, %v", document, got, n, err)
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

func TestCursorDepth(t *testing.T) {
	t.Parallel()
	for _, depth := range []int{1, 63, 64, 65, 3333, 3334, 5000, 5001, 10000, 10001, 30000} {
		for _, brackets := range [][2]string{{"[", "]"}, {`{"a":`, "}"}, {`[{"":[`, "]}]"}, {`{"a":[`, "]}"}} {
			document := strings.Repeat(brackets[0], depth) + "1" + strings.Repeat(brackets[1], depth)
			c := strictjson.NewCursor([]byte(document))
			_, _ = c.Value()
			if err := c.End(); (err == nil) != json.Valid([]byte(document)) {
				t.Errorf("%d times %s: %v", depth, brackets[0], err)
			}
		}
	}
}

// encoding/json is the second opinion on what is JSON, and Value on what is in
// it.
func FuzzCursor(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,"\"",{"b":null}],"\u0061":"\\"}`, ` [ [ ] , { } , "]" , -1.5e3 , true ] `, `"\\\""`, `null`, `{"":{"":[]}}`,
		`{"a":12,"a":"AAEC"}`, `{"a":[],"a":12}`, `{"a":"\u0041\n=","b":[false,[],{"a":"\ud800"}]}`, `["AAEC",1.5,-0,1E+9]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		c := strictjson.NewCursor(document)
		whole, err := c.Value()
		if end := c.End(); err == nil {
			err = end
		}
		if (err == nil) != json.Valid(document) {
			t.Fatalf("%q: %v", document, err)
		}
		v, err := strictjson.Parse(document)
		if err != nil {
			v = strictjson.Value("null") // no reading may take what is no JSON
		} else if !bytes.Equal(whole, v) {
			t.Errorf("%q: read %q", document, whole)
		}
		sameMember(t, document, v)
		sameElements(t, document, v)
	})
}

// sameMember compares what both make of the member a. Where there are several
// the cursor wants all of them to be right, and Value the last.
func sameMember(t *testing.T, document []byte, v strictjson.Value) {
	t.Helper()
	several := 0
	_ = readA(string(document), func(c *strictjson.Cursor) error {
		several++
		_, err := c.Value()
		return err
	})
	var member strictjson.Value
	err := readA(string(document), func(c *strictjson.Cursor) (err error) {
		member, err = c.Value()
		return err
	})
	if want, wantErr := v.Member("a"); (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(member, want) {
		t.Errorf("%q: member %q, %v, want %q, %v", document, member, err, want, wantErr)
	}

	var n int64
	err = readA(string(document), func(c *strictjson.Cursor) (err error) {
		n, err = c.Int64()
		return err
	})
	if want, wantErr := v.Int64("a"); several < 2 && (err == nil) != (wantErr == nil) || err == nil && n != want {
		t.Errorf("%q: integer %d, %v, want %d, %v", document, n, err, want, wantErr)
	}

	const most = 32
	var b []byte
	err = readA(string(document), func(c *strictjson.Cursor) (err error) {
		b, err = c.AppendBase64(nil, most)
		return err
	})
	want, wantErr := v.Base64("a")
	if wantErr == nil && len(want) > most {
		wantErr = errors.New("too long")
	}
	if several < 2 && (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(b, want) {
		t.Errorf("%q: bytes %x, %v, want %x, %v", document, b, err, want, wantErr)
	}
}

func sameElements(t *testing.T, document []byte, v strictjson.Value) {
	t.Helper()
	c := strictjson.NewCursor(document)
	var got, want []string
	n, err := c.Array(func(int) error {
		element, err := c.Value()
		got = append(got, string(element))
		return err
	})
	if end := c.End(); err == nil {
		err = end
	}
	elements, wantErr := v.Elements()
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%q: %v, want %v", document, err, wantErr)
	}
	if err != nil {
		return
	}
	for element := range elements {
		want = append(want, string(element))
	}
	if n != len(want) || fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("%q: elements %q, %d of them, want %q", document, got, n, want)
	}
}
