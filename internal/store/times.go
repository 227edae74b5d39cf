package store

import "time"

// micros is t as the tables hold it.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// moment is the time that the tables hold as us.
func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// cut is t as it will be read back.
func cut(t time.Time) time.Time { return moment(micros(t)) }

// span is the length that the tables hold as us.
func span(us int64) time.Duration { return time.Duration(us) * time.Microsecond }
