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

func read(r io.Reader, minBalance int64) (entries []Entry, err error) {
	for entry, err := range ReadWhitelist(r, minBalance) {
		if err != nil {
			return entries, err
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

func TestReadWhitelist(t *testing.T) {
	t.Parallel()
	a, b := Address(keyOf(1).PubKey(), true), Address(keyOf(2).PubKey(), true)
	const head = "address,crowdsale_balance,note\n"
	tests := []struct {
		name, file string
		want       []Entry
		problem    string
	}{
		{"rows", head + a + ",10000,\n" + b + ",20000,\n", []Entry{{a, 10000}, {b, 20000}}, ""},
		{"first row only", head, nil, ""},
		{"first row skipped if it holds an address", a + ",10000\n" + b + ",20000\n", []Entry{{b, 20000}}, ""},
		{"first row with a byte order mark", "\ufeff" + head + a + ",10000\n", []Entry{{a, 10000}}, ""},
		{"below the minimum", head + a + ",9999\n" + b + ",10000\n", []Entry{{b, 10000}}, ""},
		{"a fraction is cut off", head + a + ",9999.99999999\n" + b + ",10000.5\n", []Entry{{b, 10000}}, ""},
		{"no newline at the end", head + a + ",10000", []Entry{{a, 10000}}, ""},
		{"Windows line endings", "address,x\r\n" + a + ",10000\r\n", []Entry{{a, 10000}}, ""},
		{"empty lines", head + "\n" + a + ",10000\n \n\r\n", []Entry{{a, 10000}}, ""},
		{"spaces", head + " " + a + " , 10000 ,\n", []Entry{{a, 10000}}, ""},
		{"quotes", head + `"` + a + `","10000","x, ""y"""` + "\n", []Entry{{a, 10000}}, ""},
		{"the same address twice", head + a + ",10000\n" + a + ",20000\n", []Entry{{a, 10000}, {a, 20000}}, ""},
		{"empty file", "", nil, "line 1: the row with the column names is missing"},
		{"no balance", head + a + "\n", nil, "line 2: the balance is missing"},
		{"empty balance", head + a + ",\n", nil, `line 2: balance "" is not a number`},
		{"balance with a sign", head + a + ",-1\n", nil, `line 2: balance "-1" is not a number`},
		{"balance in words", head + a + ",all\n", nil, "line 2: "},
		{"balance beyond 63 bits", head + a + ",9223372036854775808\n", nil, "line 2: "},
		{"two points", head + a + ",1.2.3\n", nil, "line 2: "},
		{"not an address", head + a + ",10000\n\nfarmer,10000\n", []Entry{{a, 10000}}, `line 4: "farmer": invalid address`},
		{"not an address, below the minimum", head + "farmer,1\n", nil, `line 2: "farmer": invalid address`},
		{"missing closing quote", head + `"` + a + ",10000\n" + b + ",10000\n", nil, "line 2: "},
		{"a line too long", head + a + ",10000," + strings.Repeat("x", maxLine) + "\n", nil, "line 2: longer than 4096 bytes"},
		{"a first row too long", strings.Repeat("x", 1<<20), nil, "line 1: longer than 4096 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := read(strings.NewReader(tt.file), 10_000)
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("entries %v, want %v", got, tt.want)
			}
			if tt.problem == "" && err != nil || tt.problem != "" && (err == nil || !strings.Contains(err.Error(), tt.problem)) {
				t.Errorf("error %v, want %q", err, tt.problem)
			}
		})
	}
}

func TestReadWhitelistStops(t *testing.T) {
	t.Parallel()
	a := Address(keyOf(1).PubKey(), true)
	file := "address,balance\n" + strings.Repeat(a+",1\n", 10)
	n := 0
	for range ReadWhitelist(strings.NewReader(file), 0) {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d entries, want 3", n)
	}
}

func TestReadWhitelistBrokenReader(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	r := io.MultiReader(strings.NewReader("address,balance\n"), iotest.ErrReader(broken))
	if _, err := read(r, 0); !errors.Is(err, broken) || !strings.Contains(err.Error(), "line 2") {
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
		entries, err := read(strings.NewReader(file), minBalance)
		if err != nil && !strings.HasPrefix(err.Error(), "whitelist: line ") {
			t.Errorf("%v does not name a line", err)
		}
		var again strings.Builder
		again.WriteString("address,balance\n")
		for _, entry := range entries {
			if _, _, err := ParseAddress(entry.Address); err != nil || entry.Balance < minBalance || entry.Balance < 0 {
				t.Errorf("%+v is accepted with the minimum %d", entry, minBalance)
			}
			fmt.Fprintf(&again, "%s,%d\n", entry.Address, entry.Balance)
		}
		got, err := read(strings.NewReader(again.String()), minBalance)
		if err != nil || !reflect.DeepEqual(got, entries) {
			t.Errorf("%v and %v, want %v", got, err, entries)
		}
	})
}
