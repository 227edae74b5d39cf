package apiserver

import (
	"iter"
	"sync"
)

// ahead yields what seq does, and has seq make the next one while the last is
// being used, in a goroutine that ends before ahead does. A panic of seq's
// becomes one of who ranges over ahead, where a handler's are caught.
func ahead[T any](seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	type made struct {
		value    T
		err      error
		panicked any
	}
	return func(yield func(T, error) bool) {
		var (
			next   = make(chan made)
			stop   = make(chan struct{})
			making sync.WaitGroup
		)
		hand := func(m made) bool {
			select {
			case next <- m:
				return true
			case <-stop:
				return false
			}
		}
		making.Go(func() {
			defer close(next)
			defer func() {
				if p := recover(); p != nil {
					hand(made{panicked: p})
				}
			}()
			for value, err := range seq {
				if !hand(made{value: value, err: err}) {
					return
				}
			}
		})
		defer making.Wait()
		defer close(stop)
		for m := range next {
			if m.panicked != nil {
				panic(m.panicked)
			}
			if !yield(m.value, m.err) {
				return
			}
		}
	}
}
