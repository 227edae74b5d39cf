package sjcx

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
)

// maxLine is the maximum length of a line of a whitelist, in bytes.
const maxLine = 4096

// Entry is a row of a whitelist.
type Entry struct {
	Address string
	// Balance is in whole SJCX, rounded down.
	Balance int64
}

// ReadWhitelist reads a whitelist and yields the entries with a balance of at
// least minBalance. The whitelist is CSV with one row on each line. The first
// row names the columns and is skipped. Columns after the address and the
// balance are ignored. An address may occur more than once.
//
// The sequence ends at the first error. The error names its line. Loading a whitelist
// removes the contracts of all other addresses, so a caller must change nothing
// until the sequence has ended without an error. For the same reason, a file
// without a first row is an error.
func ReadWhitelist(r io.Reader, minBalance int64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 0, maxLine), maxLine)
		n := 0
		for lines.Scan() {
			n++
			if n == 1 || strings.TrimSpace(lines.Text()) == "" {
				continue
			}
			entry, err := parseEntry(lines.Text())
			if err != nil {
				yield(Entry{}, fmt.Errorf("whitelist: line %d: %w", n, err))
				return
			}
			if entry.Balance >= minBalance && !yield(entry, nil) {
				return
			}
		}
		switch err := lines.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			yield(Entry{}, fmt.Errorf("whitelist: line %d: longer than %d bytes", n+1, maxLine))
		case err != nil:
			yield(Entry{}, fmt.Errorf("whitelist: line %d: %w", n+1, err))
		case n == 0:
			yield(Entry{}, errors.New("whitelist: line 1: the row with the column names is missing"))
		}
	}
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
