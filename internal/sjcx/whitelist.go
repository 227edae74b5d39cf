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

// maxLine bounds a line of a whitelist, in bytes.
const maxLine = 4096

// Entry is a row of a whitelist.
type Entry struct {
	Address string
	// Balance is in SJCX; a fraction is cut off.
	Balance int64
}

// ReadWhitelist yields, as it reads them, the entries of a whitelist whose
// balance is at least minBalance. The whitelist is CSV, a row a line; the
// first row names the columns and is skipped, and the columns after the
// address and the balance are ignored. An address may come more than once.
//
// The first error, which names its line, is yielded with an empty Entry and
// ends the sequence. As loading a whitelist takes contracts away from
// everybody who is not on it, a caller should change nothing before the
// sequence has ended without one. A file without even a first row is an error
// for the same reason.
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
			yield(Entry{}, errors.New("whitelist: line 1: there is no row of column names"))
		}
	}
}

// parseEntry reads one row. Rows are parsed one by one, not as one CSV file,
// for a forgotten quote would else take the rest of the file for a field.
func parseEntry(line string) (Entry, error) {
	row := csv.NewReader(strings.NewReader(line))
	fields, err := row.Read()
	var malformed *csv.ParseError
	switch {
	case errors.As(err, &malformed): // without its line number, which is always 1
		return Entry{}, fmt.Errorf("column %d: %w", malformed.Column, malformed.Err)
	case err != nil:
		return Entry{}, err
	case len(fields) < 2:
		return Entry{}, errors.New("no balance")
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

// parseBalance reads a decimal number that is not negative, and cuts it down
// to a whole one.
func parseBalance(text string) (int64, error) {
	whole, fraction, _ := strings.Cut(text, ".")
	balance, err := strconv.ParseUint(whole, 10, 63)
	if err != nil || strings.Trim(fraction, "0123456789") != "" {
		return 0, fmt.Errorf("%q is not a balance", text)
	}
	return int64(balance), nil
}
