package main

import (
	"strconv"
	"strings"
	"testing"
)

func TestCheckAll(t *testing.T) {
	t.Parallel()
	const prefix = "GET /api/downstream/v1"
	pair := func(request, status, contentType, body string) string {
		return request + " HTTP/1.1\r\nHost: node\r\n\r\n" +
			"HTTP/1.1 " + status + "\r\nContent-Type: " + contentType + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	}
	for name, tt := range map[string]struct{ pairs, want string }{
		"as described":  {pair(prefix+"/openapi.json", "200 OK", "application/json", `{"openapi": "3.1.0"}`), `""`},
		"undescribed":   {pair(prefix+"/nothing", "404 Not Found", "application/json", "{}"), `"undescribed"`},
		"wrong type":    {pair(prefix+"/openapi.json", "200 OK", "text/plain", "{}"), `"the response is not as described`},
		"several pairs": {strings.Repeat(pair(prefix+"/nothing", "404 Not Found", "text/plain", ""), 2), "\"undescribed\"\n\"undescribed\"\n"},
		"no pairs":      {"", ""},
	} {
		var out strings.Builder
		if err := checkAll(strings.NewReader(tt.pairs), &out); err != nil || !strings.HasPrefix(out.String(), tt.want) {
			t.Errorf("%s: wrote %q, %v; want %q", name, &out, err, tt.want)
		}
	}
	if err := checkAll(strings.NewReader("GET / HTTP/1.1\r\nHost: node\r\n\r\nno response"), &strings.Builder{}); err == nil {
		t.Error("a request without a response causes no error")
	}
}
