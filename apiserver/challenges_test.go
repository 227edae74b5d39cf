package apiserver

import (
	"errors"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// count yields 0, 1, 2 ... and needs one second for each number.
func count(yield func(int, error) bool) {
	for i := 0; ; i++ {
		time.Sleep(time.Second)
		if !yield(i, nil) {
			return
		}
	}
}

// The sequence needs one second to compute an element, and the test needs one second
// to use it. With prefetch, the two happen in parallel.
func TestPrefetchComputesInParallel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var got []int
		for i := range prefetch(count) {
			time.Sleep(time.Second)
			if got = append(got, i); len(got) == 4 {
				break
			}
		}
		if !slices.Equal(got, []int{0, 1, 2, 3}) {
			t.Errorf("received %v", got)
		}
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("took %v, want one second for the first element and one for each use", took)
		}
	}) // synctest fails if a goroutine is left
}

func TestPrefetchComputesOnlyOneAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		made := 0
		seq := func(yield func(int, error) bool) {
			for i := range count {
				if made++; !yield(i, nil) {
					return
				}
			}
		}
		for range prefetch(seq) {
			time.Sleep(time.Minute)
			synctest.Wait()
			break
		}
		if made != 2 {
			t.Errorf("%d elements were made while the first was used, want 2", made)
		}
	})
}

func TestPrefetchEndsWithItsSequence(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	synctest.Test(t, func(t *testing.T) {
		var got []int
		var last error
		for i, err := range prefetch(func(yield func(int, error) bool) { _ = yield(1, nil) && yield(2, broken) }) {
			got, last = append(got, i), err
		}
		if !slices.Equal(got, []int{1, 2}) || last != broken {
			t.Errorf("got %v and the error %v", got, last)
		}
	})
}

func TestPrefetchCarriesPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		defer func() {
			if got := recover(); got != "lost" {
				t.Errorf("recovered %v", got)
			}
		}()
		var seq iter.Seq2[int, error] = func(yield func(int, error) bool) {
			yield(1, nil)
			panic("lost")
		}
		for range prefetch(prefetch(seq)) {
			continue
		}
		t.Error("no panic")
	})
}
