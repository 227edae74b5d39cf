package wirejson_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat/wirejson"
)

// BenchmarkBody reads a body of 1000 honest proofs, then hostile bodies of the
// same length.
func BenchmarkBody(b *testing.B) {
	hash := base64.StdEncoding.EncodeToString(make([]byte, 32))
	row := fmt.Sprintf(`["%s","%s"]`, hash, hash)
	proof := fmt.Sprintf(`{"leaf":{"index":7,"blob":"%s"},"branch":{"rows":[%s]}}`, hash, strings.Repeat(row+",", 7)+row)
	answer := fmt.Sprintf(`{"a_text": "%064x", "any": %s}`, 1, proof)
	honest := `{"list": [` + strings.Repeat(answer+", ", 999) + answer + "]}"
	fill := func(before, part string) string {
		return (before + strings.Repeat(part, len(honest)/len(part)+1))[:len(honest)]
	}
	for _, body := range []struct{ name, text string }{
		{"honest", honest},
		{"spaces", fill("", " ")},
		{"brackets", fill(`{"list": [`, strings.Repeat("[", 9000)+strings.Repeat("]", 9000)+",")},
		{"brackets in an item", fill(`{"list": [`, `{"more":`+strings.Repeat("[", 4000)+strings.Repeat("]", 4000)+"},")},
		{"empty items", fill(`{"list": [`, "{},")},
		{"escapes", fill(`{"list": [{"a_text": "`, `\u0041`)},
		{"escaped texts", fill(`{"list": [`, `{"a_text":"\n"},`)},
		{"escaped names", fill(`{"list": [{`, `"\u0061":1,`)},
		{"members", fill(`{"list": [{`, `"any":7,`)},
		{"digits", fill(`{"list": [`, "7")},
		{"one long text", fill(`{"list": [{"any": "`, "A")},
		{"other members", fill(`{`, `"a":[],`)},
	} {
		b.Run(body.name, func(b *testing.B) {
			var in wirejson.Reader
			b.ReportAllocs()
			b.SetBytes(int64(len(body.text)))
			for b.Loop() {
				in.Reset(strings.NewReader(body.text))
				_ = in.Object(func(name []byte) error {
					if string(name) != "list" {
						return in.Skip()
					}
					_, err := in.Array(func(int) error {
						return in.Object(func(name []byte) error {
							if wirejson.IsName(name, "a_text") {
								_, _, err := in.String()
								return err
							}
							_, err := in.Value()
							return err
						})
					})
					return err
				})
			}
		})
	}
}
