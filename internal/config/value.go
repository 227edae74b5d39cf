package config

import (
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
)

// ByteSize is a number of bytes. Its text is a plain number or a number with a
// unit: KiB, MiB, GiB, TiB (powers of 1024) or KB, MB, GB, TB (powers of 1000).
type ByteSize int64

// UnmarshalText implements [encoding.TextUnmarshaler].
func (b *ByteSize) UnmarshalText(text []byte) error {
	// Parse plain numbers here, because go-humanize parses numbers as float64. A
	// float64 is exact only up to 2^53.
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil && n >= 0 {
		*b = ByteSize(n)
		return nil
	}
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n > math.MaxInt64 {
		return fmt.Errorf("%q is not a size such as 32MiB or a number of bytes", text)
	}
	*b = ByteSize(n)
	return nil
}

// MarshalText implements [encoding.TextMarshaler]. The text is exact.
func (b ByteSize) MarshalText() ([]byte, error) {
	return []byte(b.String()), nil
}

// String returns the size in the largest unit of KiB, MiB and GiB that divides it. If
// none divides it, String returns the number of bytes.
func (b ByteSize) String() string {
	for _, unit := range []struct {
		size ByteSize
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if b != 0 && b%unit.size == 0 {
			return strconv.FormatInt(int64(b/unit.size), 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// Fraction is a part of a whole, from 0 to 1. Its text is a number such as 0.01, or a
// percentage such as 1%.
type Fraction float64

// UnmarshalText implements [encoding.TextUnmarshaler].
func (f *Fraction) UnmarshalText(text []byte) error {
	number, percent := strings.CutSuffix(string(text), "%")
	x, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil {
		return fmt.Errorf("%q is not a number such as 0.01 or a percentage such as 1%%", text)
	}
	if percent {
		x /= 100
	}
	*f = Fraction(x)
	return nil
}

const mask = "********"

// Secret is a text that printing, logging and marshalling replace by a mask.
// Only a conversion to string returns its value, so uses are easy to find.
type Secret string

// String returns a mask, or "" for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString implements [fmt.GoStringer].
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText implements [encoding.TextMarshaler].
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
