package sjcx

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadWhitelist(t *testing.T) {
	t.Parallel()
	a, b := Address(keyOf(1).PubKey(), true), Address(keyOf(2).PubKey(), true)
	const head = "address,crowdsale_balance,note\n"
	low := func(line int, balance, address string) string {
		return fmt.Sprintf("line %d: the balance %s of %s is below 10000: it keeps what it has, and gets no new tokens", line, balance, address)
	}
	tests := []struct {
		name, file string
		want       []Entry
		skipped    []string
		problems   []string
	}{
		{"rows", head + a + ",10000,\n" + b + ",20000,\n", []Entry{{a, 10000, false}, {b, 20000, false}}, nil, nil},
		{"first row only", head, nil, nil, nil},
		{
			"the header is missing", a + ",10000\n" + b + ",20000\n",
			[]Entry{{b, 20000, false}},
			[]string{"line 1: the header is missing: the first row is always skipped, but it holds the address " + a},
			nil,
		},
		{"first row with a byte order mark", "\ufeff" + head + a + ",10000\n", []Entry{{a, 10000, false}}, nil, nil},
		{"below the minimum", head + a + ",9999\n" + b + ",10000\n", []Entry{{a, 9999, true}, {b, 10000, false}}, []string{low(2, "9999", a)}, nil},
		{
			"a fraction is cut off", head + a + ",9999.99999999\n" + b + ",10000.5\n",
			[]Entry{{a, 9999, true}, {b, 10000, false}},
			[]string{low(2, "9999", a)},
			nil,
		},
		{"no newline at the end", head + a + ",10000", []Entry{{a, 10000, false}}, nil, nil},
		{"Windows line endings", "address,x\r\n" + a + ",10000\r\n", []Entry{{a, 10000, false}}, nil, nil},
		{"empty lines", head + "\n" + a + ",10000\n \n\r\n", []Entry{{a, 10000, false}}, nil, nil},
		{"spaces", head + " " + a + " , 10000 ,\n", []Entry{{a, 10000, false}}, nil, nil},
		{"quotes", head + `"` + a + `","10000","x, ""y"""` + "\n", []Entry{{a, 10000, false}}, nil, nil},
		{
			"the same address twice", head + a + ",10000\n" + b + ",10000\n" + a + ",20000\n",
			[]Entry{{a, 10000, false}, {b, 10000, false}},
			[]string{"line 4: duplicate: line 2 has the address " + a + " too"},
			nil,
		},
		{"empty file", "", nil, nil, []string{"line 1: the row with the column names is missing"}},
		{"no balance", head + a + "\n", nil, nil, []string{"line 2: the balance is missing"}},
		{"empty balance", head + a + ",\n", nil, nil, []string{`line 2: balance "" is not a number`}},
		{"balance with a sign", head + a + ",-1\n", nil, nil, []string{`line 2: balance "-1" is not a number`}},
		{"balance in words", head + a + ",all\n", nil, nil, []string{"line 2: "}},
		{"balance beyond 63 bits", head + a + ",9223372036854775808\n", nil, nil, []string{"line 2: "}},
		{"two points", head + a + ",1.2.3\n", nil, nil, []string{"line 2: "}},
		{"not an address", head + a + ",10000\n\nfarmer,10000\n", []Entry{{a, 10000, false}}, nil, []string{`line 4: "farmer": invalid address`}},
		{"not an address, below the minimum", head + "farmer,1\n", nil, nil, []string{`line 2: "farmer": invalid address`}},
		{"missing closing quote", head + `"` + a + ",10000\n" + b + ",10000\n", []Entry{{b, 10000, false}}, nil, []string{"line 2: "}},
		{
			"several invalid rows", head + "farmer,1\n" + a + ",10000\n" + b + ",all\n",
			[]Entry{{a, 10000, false}},
			nil,
			[]string{`line 2: "farmer": invalid address`, `line 4: balance "all" is not a number`},
		},
		{"a line too long", head + a + ",10000," + strings.Repeat("x", maxLine) + "\n", nil, nil, []string{"line 2: longer than 4096 bytes"}},
		{"a first row too long", strings.Repeat("x", 1<<20), nil, nil, []string{"line 1: longer than 4096 bytes"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := ReadWhitelist(strings.NewReader(tt.file), 10_000)
			if !reflect.DeepEqual(got.Entries, tt.want) {
				t.Errorf("entries %v, want %v", got.Entries, tt.want)
			}
			var skipped []string
			for _, row := range got.Skipped {
				skipped = append(skipped, row.String())
			}
			if !reflect.DeepEqual(skipped, tt.skipped) {
				t.Errorf("skipped %q, want %q", skipped, tt.skipped)
			}
			if (err == nil) != (tt.problems == nil) {
				t.Fatalf("error %v, want %q", err, tt.problems)
			}
			for _, problem := range tt.problems {
				if !strings.Contains(err.Error(), problem) {
					t.Errorf("error %v, want %q", err, problem)
				}
			}
		})
	}
}

func TestReadWhitelistNamesFewInvalidRows(t *testing.T) {
	t.Parallel()
	_, err := ReadWhitelist(strings.NewReader("address,balance\n"+strings.Repeat("farmer,1\n", 1000)), 0)
	if err == nil || strings.Count(err.Error(), "\n")+1 != maxInvalid {
		t.Errorf("%v, want %d lines", err, maxInvalid)
	}
}

func TestReadWhitelistBrokenReader(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	r := io.MultiReader(strings.NewReader("address,balance\n"), iotest.ErrReader(broken))
	if _, err := ReadWhitelist(r, 0); !errors.Is(err, broken) || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("%v, want line 2: broken", err)
	}
}

// FuzzReadWhitelist checks that every entry has a valid address and balance, and
// that writing and reading it again does not change it.
func FuzzReadWhitelist(f *testing.F) {
	a := Address(keyOf(1).PubKey(), true)
	for _, seed := range []string{
		"", "\n", "address,crowdsale_balance\n" + a + ",10000\n", "x\n" + a + ",1.5,\"", "x\n\"" + a + "\",\"7\"\r\n",
		"x\n,\n", "x\n\"", "x\n\r\r\n", "x\n\x00,1",
	} {
		f.Add(seed, int64(0))
		f.Add(seed, int64(10_000))
	}
	f.Fuzz(func(t *testing.T, file string, minBalance int64) {
		list, err := ReadWhitelist(strings.NewReader(file), minBalance)
		if err != nil && !strings.HasPrefix(err.Error(), "whitelist: line ") {
			t.Errorf("%v does not name a line", err)
		}
		var again strings.Builder
		again.WriteString("address,balance\n")
		for _, entry := range list.Entries {
			if _, _, err := ParseAddress(entry.Address); err != nil || entry.Balance < 0 || entry.Low != (entry.Balance < minBalance) {
				t.Errorf("%+v is accepted with the minimum %d", entry, minBalance)
			}
			fmt.Fprintf(&again, "%s,%d\n", entry.Address, entry.Balance)
		}
		got, err := ReadWhitelist(strings.NewReader(again.String()), minBalance)
		if err != nil || !reflect.DeepEqual(got.Entries, list.Entries) {
			t.Errorf("%v and %v, want %v", got, err, list.Entries)
		}
	})
}
