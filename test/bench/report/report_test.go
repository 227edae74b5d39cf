package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFigure(t *testing.T) {
	t.Parallel()
	limit := New("limit", "rows/s", 100)
	f := New("figure", "proofs/s", 50, 10, 1000, 30).Against(limit).RatioAtLeast(0.4).AtLeast(41)
	if f.Median() != 40 || f.Ratio != 0.4 {
		t.Errorf("median %v, ratio %v", f.Median(), f.Ratio)
	}
	if got, want := f.spread(), "10 – 1,000"; got != want {
		t.Errorf("spread %q, want %q", got, want)
	}
	if got, want := f.targets(), "ratio ≥ 0.4: met; ≥ 41 proofs/s: NOT met"; got != want {
		t.Errorf("targets %q, want %q", got, want)
	}
}

// A figure that was not measured must meet no target, not even a target with an
// upper limit.
func TestNotMeasured(t *testing.T) {
	t.Parallel()
	f := New("figure", "ms").Against(New("limit", "ms", 1)).AtMost(5).RatioAtMost(2)
	if got := f.targets(); strings.Count(got, "NOT met") != 2 {
		t.Error(got)
	}
	if got := f.value(); got != "not measured" {
		t.Error(got)
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for x, want := range map[float64]string{
		0: "0", 0.0314: "0.031", 0.4: "0.4", 1.25: "1.25", 42.04: "42", 123.4: "123", 999: "999", 1234567.8: "1,234,568",
	} {
		if got := Number(x); got != want {
			t.Errorf("%v is %q, want %q", x, got, want)
		}
	}
}

func TestWriteSection(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "document.md")
	text := "before\n" + mark("a", "begin") + "\n\nold\n" + mark("a", "end") + "\nafter\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second call must change nothing
		if err := WriteSection(path, "a", "new\n"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := "before\n" + mark("a", "begin") + "\n\nnew\n\n" + mark("a", "end") + "\nafter\n"; string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
	if err := WriteSection(path, "b", "new\n"); err == nil {
		t.Error("WriteSection returned no error for a missing section")
	}
}
