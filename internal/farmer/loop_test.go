package farmer

import (
	"errors"
	"net/http"
	"testing"
	"time"
)

func TestLoopHoldsTheNewerContractForAFile(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	older := record{FileHash: "hash", Size: 10, Taken: now, dir: "older"}
	newer := record{FileHash: "hash", Size: 10, Taken: now.Add(time.Hour), dir: "newer"}
	for _, order := range [][]record{{older, newer}, {newer, older}} {
		l := &loop{Farmer: &Farmer{}, contracts: make(map[string]*contract)}
		for _, r := range order {
			l.add(&contract{record: r})
		}
		check(t, "contracts", len(l.contracts), 1)
		check(t, "directory", l.contracts["hash"].dir, "newer")
		check(t, "bytes", l.held, int64(10))
		if len(l.ended) != 1 || l.ended[0].dir != "older" {
			t.Errorf("ended: %v", l.ended)
		}
	}
}

func TestSmallerBatchesAfterARefusal(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		limit, size int
		err         error
		want        int
	}{
		{"no response", 100, 100, errors.New("connection reset"), 100},
		{"busy", 100, 100, &Error{Status: http.StatusServiceUnavailable, FromNode: true}, 100},
		{"not found by a proxy", 100, 100, &Error{Status: http.StatusNotFound}, 100},
		{"refused", 100, 100, &Error{Status: http.StatusBadRequest, FromNode: true}, 50},
		{"too large for a proxy", 100, 30, &Error{Status: http.StatusRequestEntityTooLarge}, 15},
		{"limit lowered during the request", 10, 100, &Error{Status: http.StatusBadRequest, FromNode: true}, 10},
		{"one refused", 1, 1, &Error{Status: http.StatusBadRequest, FromNode: true}, 1},
	}
	for _, tt := range tests {
		if got := smaller(tt.limit, tt.size, tt.err); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestSnapshotPlus(t *testing.T) {
	t.Parallel()
	at := func(hour int) time.Time { return time.Date(2030, 1, 2, hour, 0, 0, 0, time.UTC) }
	a := Snapshot{FarmerID: "a", Joined: 1, Contracts: 1, Bytes: 2, Heartbeats: 3, Rejected: 4, Retries: 5, Early: 6, Taken: 7, Refused: 8, Dropped: 9, NextDue: at(2), RetryAt: at(3), LastError: "a", LastErrorAt: at(1)}
	b := Snapshot{FarmerID: "b", Joined: 1, Contracts: 10, Bytes: 20, Heartbeats: 30, Rejected: 40, Retries: 50, Early: 60, Taken: 70, Refused: 80, Dropped: 90, NextDue: at(1), RetryAt: at(4), LastError: "b", LastErrorAt: at(2)}
	want := Snapshot{Joined: 2, Contracts: 11, Bytes: 22, Heartbeats: 33, Rejected: 44, Retries: 55, Early: 66, Taken: 77, Refused: 88, Dropped: 99, NextDue: at(1), RetryAt: at(3), LastError: "b", LastErrorAt: at(2)}
	check(t, "a and b", a.Plus(b), want)
	check(t, "b and a", b.Plus(a), want)
	a.FarmerID = ""
	check(t, "zero and a", Snapshot{}.Plus(a), a)
	check(t, "a and zero", a.Plus(Snapshot{}), a)
}
