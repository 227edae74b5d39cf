package main

import (
	"slices"
	"strings"
	"testing"
)

func TestWatch(t *testing.T) {
	t.Parallel()
	const (
		fine = `{"Action":"output","Package":"p","Test":"TestA","Output":"chatter\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}
{"Action":"output","Package":"empty","Output":"?   \tempty\t[no test files]\n"}
{"Action":"skip","Package":"empty"}
`
		skipped = `{"Action":"output","Package":"p","Test":"TestS","Output":"    no server\n"}
{"Action":"skip","Package":"p","Test":"TestS"}
`
		failed = `{"Action":"output","Package":"q","Test":"TestF","Output":"    wrong\n"}
{"Action":"fail","Package":"q","Test":"TestF"}
{"Action":"output","Package":"q","Test":"TestCut","Output":"    half\n"}
{"Action":"fail","Package":"q"}
`
		unequal = `{"Action":"output","Package":"q","Test":"TestF","Output":"    wrong\n"}
{"Action":"fail","Package":"q","Test":"TestF/part"}
{"Action":"fail","Package":"q","Test":"TestF"}
{"Action":"fail","Package":"q","Test":"TestG"}
{"Action":"fail","Package":"q"}
`
		summary = "ok  \tp\t0.1s\n?   \tempty\t[no test files]\n"
	)
	for name, c := range map[string]struct {
		in           string
		mayBeSkipped []string
		out          string
		problems     []string
		failed       []string
	}{
		"fine":           {fine, nil, summary, nil, nil},
		"other output":   {"installing\n" + fine, nil, "installing\n" + summary, nil, nil},
		"skipped":        {skipped + fine, []string{"Test"}, "    no server\n" + summary, []string{"p: TestS was skipped"}, nil},
		"may be skipped": {skipped + fine, []string{"TestS"}, summary, nil, nil},
		"failed":         {fine + failed, nil, summary + "    wrong\n    half\n", []string{"q failed"}, nil},
		"two failed":     {fine + unequal, nil, summary + "    wrong\n", []string{"q failed"}, []string{"TestF", "TestG"}},
		"and skipped":    {unequal + skipped, nil, "    wrong\n    no server\n", []string{"q failed", "p: TestS was skipped"}, nil},
		"not built":      {`{"Action":"build-output","Output":"undefined\n"}` + "\n" + `{"Action":"fail","Package":"r"}`, nil, "undefined\n", []string{"r failed"}, nil},
		"nothing":        {"", nil, "", []string{"no test ran"}, nil},
		"only skipped":   {skipped, []string{"TestS"}, "", []string{"no test ran"}, nil},
	} {
		var out strings.Builder
		problems, failed, err := watch(strings.NewReader(c.in), &out, c.mayBeSkipped)
		if err != nil || out.String() != c.out || !slices.Equal(problems, c.problems) || !slices.Equal(failed, c.failed) {
			t.Errorf("%s: printed %q, want %q; problems %q, want %q; failed %q, want %q; %v", name, out.String(), c.out, problems, c.problems, failed, c.failed, err)
		}
	}
}
