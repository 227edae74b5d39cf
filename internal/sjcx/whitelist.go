package sjcx

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxLine is the maximum length of a line of a whitelist, in bytes.
const maxLine = 4096

// Entry is an SJCX address of a whitelist.
type Entry struct {
	Address string
	// Balance is in whole SJCX, rounded down.
	Balance int64
	// Low reports whether the balance is below the minimum. Such an address keeps
	// what it has, and gets no new tokens.
	Low bool
}

// Skipped is a row of a whitelist that allows no address.
type Skipped struct {
	Line   int
	Reason string
}

func (s Skipped) String() string { return fmt.Sprintf("line %d: %s", s.Line, s.Reason) }

// Whitelist is the content of a whitelist.
type Whitelist struct {
	Entries []Entry // one for each address, in the order of their first rows
	Skipped []Skipped
}

// maxInvalid limits the invalid rows that an error names.
const maxInvalid = 100

// ReadWhitelist reads a whitelist. The whitelist is CSV with one row on each line.
// The first row names the columns and is skipped. Columns after the address and the
// balance are ignored. If an address has several rows, the first one counts.
//
// An invalid row is an error that names its line, because loading a whitelist
// removes the contracts of all addresses that it lacks. For the same reason a file
// without a first row is an error. The error joins the invalid rows.
func ReadWhitelist(r io.Reader, minBalance int64) (Whitelist, error) {
	var list Whitelist
	var invalid []error
	first := map[string]int{} // lines by address
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	n := 0
	for lines.Scan() {
		n++
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		entry, err := parseEntry(lines.Text())
		switch {
		case n == 1 && err == nil:
			list.skip(n, "the header is missing: the first row is always skipped, but it holds the address %s", entry.Address)
		case n == 1:
		case err != nil:
			if len(invalid) < maxInvalid {
				invalid = append(invalid, fmt.Errorf("whitelist: line %d: %w", n, err))
			}
		case first[entry.Address] > 0:
			list.skip(n, "duplicate: line %d has the address %s too", first[entry.Address], entry.Address)
		default:
			first[entry.Address] = n
			if entry.Low = entry.Balance < minBalance; entry.Low {
				list.skip(n, "the balance %d of %s is below %d: it keeps what it has, and gets no new tokens",
					entry.Balance, entry.Address, minBalance)
			}
			list.Entries = append(list.Entries, entry)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		invalid = append(invalid, fmt.Errorf("whitelist: line %d: longer than %d bytes", n+1, maxLine))
	case err != nil:
		invalid = append(invalid, fmt.Errorf("whitelist: line %d: %w", n+1, err))
	case n == 0:
		invalid = append(invalid, errors.New("whitelist: line 1: the row with the column names is missing"))
	}
	return list, errors.Join(invalid...)
}

func (l *Whitelist) skip(line int, format string, args ...any) {
	l.Skipped = append(l.Skipped, Skipped{line, fmt.Sprintf(format, args...)})
}

// parseEntry parses one row. It gets one row and not the whole file, because a missing
// quote would turn all following lines into one field.
func parseEntry(line string) (Entry, error) {
	row := csv.NewReader(strings.NewReader(line))
	fields, err := row.Read()
	var malformed *csv.ParseError
	switch {
	case errors.As(err, &malformed): // leave out its line number, which is always 1
		return Entry{}, fmt.Errorf("column %d: %w", malformed.Column, malformed.Err)
	case err != nil:
		return Entry{}, err
	case len(fields) < 2:
		return Entry{}, errors.New("the balance is missing")
	}
	address := strings.TrimSpace(fields[0])
	if _, _, err := ParseAddress(address); err != nil {
		return Entry{}, fmt.Errorf("%q: %w", address, err)
	}
	balance, err := parseBalance(strings.TrimSpace(fields[1]))
	if err != nil {
		return Entry{}, err
	}
	return Entry{Address: address, Balance: balance}, nil
}

// parseBalance parses a decimal number that is not negative and rounds it down.
func parseBalance(text string) (int64, error) {
	whole, fraction, _ := strings.Cut(text, ".")
	balance, err := strconv.ParseUint(whole, 10, 63)
	if err != nil || strings.Trim(fraction, "0123456789") != "" {
		return 0, fmt.Errorf("balance %q is not a number; write digits only, such as 9999", text)
	}
	return int64(balance), nil
}
