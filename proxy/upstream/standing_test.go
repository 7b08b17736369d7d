package upstream

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/penstock/penstock/proxy/upstream/fault"
)

// at is a moment of the tests' clock.
func at(seconds float64) time.Time {
	return time.Unix(1000, 0).Add(time.Duration(seconds * float64(time.Second)))
}

// try is one try in a table: when it began and ended, in seconds, and how.
type try struct {
	began, ended float64
	o            outcome
}

func TestStanding(t *testing.T) {
	f := func(name string, when float64, out bool, tries ...try) {
		t.Helper()
		var s standing
		for _, tr := range tries {
			s = s.after(tr.o, at(tr.began), at(tr.ended))
		}
		if got := s.out(at(when)); got != out {
			t.Errorf("%s: left out at %v s: %v, want %v (%+v)", name, when, got, out, s)
		}
	}
	once := try{0, 0, broken}
	f("a new target is in", 0, false)
	f("one failure leaves it out", 0.9, true, once)
	f("for a second", 1, false, once)
	f("the second failure, for two", 2.9, true, once, try{1, 1, broken})
	f("and no longer", 3, false, once, try{1, 1, broken})
	f("the fifth, for ten", 24.9, true, once, try{1, 1, broken}, try{3, 3, broken}, try{7, 7, broken}, try{15, 15, broken})
	f("and never for more", 35, false, once, try{1, 1, broken}, try{3, 3, broken}, try{7, 7, broken}, try{15, 15, broken}, try{25, 25, broken})
	f("an answer brings it back", 1.1, false, once, try{1, 1.1, healthy})
	f("and the next failure is the first again", 3.1, false, once, try{1, 1.1, healthy}, try{2, 2, broken})
	f("tries that began before do not prolong it", 1, false, once, try{-1, 0.5, broken}, try{-1, 0.9, broken})
	f("nor end it", 0.9, true, once, try{-1, 0.5, healthy})
	f("tries while all are left out do not prolong it", 1, false, once, try{0.5, 0.6, broken})
	f("but an answer ends it", 0.7, false, once, try{0.5, 0.6, healthy})
	f("silent tries say nothing", 1, false, once, try{1, 1, silent})
	f("silent tries say nothing about a good one", 1, false, try{0, 1, silent})
	e := try{0, 0, ailing}
	f("four errors are the requests'", 0, false, e, e, e, e)
	f("five are the target's", 0.5, true, e, e, e, e, e)
	f("unless it answered in between", 0.5, false, e, e, e, try{0, 0, healthy}, e, e, e, e)
	f("a lost connection counts at once", 0.5, true, e, once)
	f("after that one error is enough", 2.5, true, e, e, e, e, e, try{1, 1, ailing})
}

func TestOneRequestTriesATargetAgain(t *testing.T) {
	h := new(health)
	h.note(broken, at(0), at(0))
	if !h.load().out(at(0.5)) || !h.chosen(at(0.5)) {
		t.Error("the target is not left out, or can't be tried when all are")
	}
	if h.load().out(at(1)) || !h.chosen(at(1)) {
		t.Error("there is no trial")
	}
	if !h.load().out(at(1.5)) {
		t.Error("the trial is not one request alone")
	}
	if h.load().out(at(2)) {
		t.Error("a trial without an end keeps others away")
	}
	h.note(healthy, at(1), at(2))
	if h.now.Load() != nil {
		t.Errorf("after an answer: %+v", h.load())
	}
}

func TestOutcomes(t *testing.T) {
	f := func(want outcome, status int, err error, stale bool) {
		t.Helper()
		if got := outcomeOf(status, err, stale); got != want {
			t.Errorf("%d, %v: %v, want %v", status, err, got, want)
		}
	}
	for _, s := range []int{200, 204, 301, 304, 400, 401, 404, 408, 429, 501, 505, 507, 511} {
		f(healthy, s, nil, false)
	}
	for _, s := range []int{500, 502, 503, 504} {
		f(ailing, s, nil, false)
	}
	want := map[fault.Kind]outcome{
		fault.DNSTimeout: broken, fault.DNSError: broken, fault.Unavailable: broken, fault.Unroutable: broken, fault.ConnectionRefused: broken, fault.ConnectionTimeout: broken,
		fault.ConnectionTerminated: broken, fault.TLSProtocol: broken, fault.TLSCertificate: broken, fault.TLSAlert: broken,
		fault.ProtocolError: ailing, fault.ResponseHeaderTooLarge: ailing, fault.ResponseIncomplete: ailing, fault.UpgradeFailed: ailing,
	}
	for k := range fault.LoopDetected + 1 {
		f(want[k], 0, &fault.Error{Kind: k, Err: errors.New("x")}, false)
		f(silent, 0, &fault.Error{Kind: k, Err: errors.New("x")}, true)
	}
	f(silent, 0, context.Canceled, false)
}

func TestMayGoOn(t *testing.T) {
	f := func(want bool, o outcome, unsent bool, untried int) {
		t.Helper()
		if got := mayGoOn(o, unsent, untried); got != want {
			t.Errorf("mayGoOn(%v, %v, %d) = %v", o, unsent, untried, got)
		}
	}
	f(true, broken, true, 1)
	f(true, full, true, 1)
	f(false, full, false, 1)
	f(false, broken, true, 0)  // there is no other target
	f(false, broken, false, 1) // the target may have acted on it
	f(false, ailing, false, 1) // it is an answer
	f(false, silent, true, 1)  // all connections in use: not the target's failure
}

func TestCandidates(t *testing.T) {
	in, out := state{}, state{out: true}
	tried, both := state{tried: true}, state{tried: true, out: true}
	f := func(want string, states ...state) {
		t.Helper()
		if got := fmt.Sprint(candidates(states)); got != want {
			t.Errorf("%+v: %s, want %s", states, got, want)
		}
	}
	f("[]", in, in) // all
	f("[0 2]", in, out, in)
	f("[]", out, out) // if all are left out, none is
	f("[1]", both, out)
	f("[1]", tried, out, both)
	f("[2]", both, out, in)
}

func TestTurnsAreSharedOut(t *testing.T) {
	order := smoothOrder([]int{2, 1, 1})
	count := make([]int, 3)
	for turn := range uint64(300) {
		count[turnOf(order, turn, []int{0, 2})]++
	}
	if fmt.Sprint(count) != "[200 0 100]" {
		t.Errorf("%v", count)
	}
}
