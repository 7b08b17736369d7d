package batch

import (
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestAMisfitIsNotAskedAgainEachTime: an origin that answers no id with a list gets one call for many reads, and is asked one by one again after a pause.
func TestAMisfitIsNotAskedAgainEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{answer: func([]string) (*http.Response, error) { return response(200, "<p>"), nil }}
		l := loader(t, u)
		for round, want := range []int{4, 1, 1} {
			before := len(u.calls())
			for i, got := range crowd(t, l) {
				if got.err == nil {
					t.Errorf("round %d, read %d: %+v", round, i, got)
				}
			}
			if calls := u.calls()[before:]; len(calls) != want {
				t.Errorf("round %d: calls %q, want %d", round, calls, want)
			}
		}
		time.Sleep(misfitPause)
		before := len(u.calls())
		crowd(t, l)
		if calls := u.calls()[before:]; len(calls) != 4 {
			t.Errorf("after the pause: calls %q", calls)
		}
	})
}

// TestOneBadElementIsFoundEachTime: if a single element spoils the answer, the other ids get theirs each time.
func TestOneBadElementIsFoundEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upstream{answer: func(ids []string) (*http.Response, error) {
			if slices.Contains(ids, "2") {
				return response(200, `{"data":[{"id":2,`), nil
			}
			return elements(ids...)
		}}
		l := loader(t, u)
		for round := range 3 {
			for i, got := range crowd(t, l) {
				if (got.err != nil) != (i == 1) {
					t.Errorf("round %d, read %d: %+v", round, i, got)
				}
			}
		}
	})
}

// crowd has three reads share a call.
func crowd(t *testing.T, l *Loader) []answer {
	synctest.Wait() // earlier calls have ended
	defer l.Gather(3)()
	return reads(t, l, "1", "2", "3")
}
