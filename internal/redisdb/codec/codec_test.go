package codec

import "testing"

func TestCountMustFitTheInput(t *testing.T) {
	t.Parallel()
	r := NewReader([]byte{0xff, 0xff, 0xff, 0xff, 1})
	if n := r.Count(1); n != 0 || r.End() == nil {
		t.Errorf("%d items in one byte", n)
	}
	r = NewReader([]byte{0, 0, 0, 2, 1, 2, 3})
	if n := r.Count(2); n != 0 || r.End() == nil {
		t.Errorf("%d items of two bytes in three", n)
	}
}
