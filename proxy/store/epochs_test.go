package store_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// article returns a stored response that every kind of purge can select.
func article(query string, tags ...string) (cachepolicy.Key, store.Subject) {
	rules := &cachepolicy.Rules{Route: "articles"}
	k, _ := rules.Key(&cachepolicy.Request{Method: "GET", Scheme: "https", Host: "example.test", Path: "/a/b/c", RawQuery: query})
	return k, store.SubjectOf(k, tags)
}

func TestFateByTarget(t *testing.T) {
	k, s := article("x=1", "t1", "t2")
	other, _ := article("x=2")
	for _, c := range []struct {
		kind  store.TargetKind
		value string
		hit   bool
	}{
		{store.TargetAll, "", true},
		{store.TargetRoute, "articles", true},
		{store.TargetRoute, "article", false},
		{store.TargetHost, "example.test", true},
		{store.TargetHost, "www.example.test", false},
		{store.TargetPrefix, "/", true},
		{store.TargetPrefix, "/a/b", true},
		{store.TargetPrefix, "/a/b/c", true},
		{store.TargetPrefix, "/a/b/cd", false},
		{store.TargetPrefix, "/b", false},
		{store.TargetPrefix, "example.test/a/", true},
		{store.TargetPrefix, "example.tes/a/", false},
		{store.TargetPrefix, "test/a/", false},
		{store.TargetTag, "t1", true},
		{store.TargetTag, "t2", true},
		{store.TargetTag, "t", false},
		{store.TargetURL, "example.test/a/b/c?x=1", true},
		{store.TargetURL, "example.test/a/b/c", false},
		{store.TargetURL, "example.test/a/b/c?x=2", false},
		{store.TargetURL, "other.test/a/b/c?x=1", false},
		{store.TargetObject, store.ObjectTarget(k, "").Value, true},
		{store.TargetObject, store.ObjectTarget(other, "").Value, false},
	} {
		for _, soft := range []bool{false, true} {
			e := store.NewEpochs(func() time.Time { return noon })
			born := e.Now()
			p := e.ApplyLocal(store.Purge{At: noon, Soft: soft, Targets: []store.Target{{Kind: c.kind, Value: c.value}}})
			want, since := store.Alive, time.Time{}
			switch {
			case c.hit && soft:
				want, since = store.Soft, noon
			case c.hit:
				want = store.Hard
			}
			if got, when := e.SubjectFate(born, s); got != want || !when.Equal(since) {
				t.Errorf("%v %q, soft %v: %v since %v, want %v since %v", c.kind, c.value, soft, got, when, want, since)
			}
			if got, _ := e.SubjectFate(p.Epoch, s); got != store.Alive {
				t.Errorf("%v %q, soft %v: a later response is %v", c.kind, c.value, soft, got)
			}
		}
	}
}

func TestSubjectOfKey(t *testing.T) {
	k, s := article("x=1", "t")
	if s.Route != "articles" || s.Host != "example.test" || s.Path != "/a/b/c" || s.Query != "x=1" || s.Object != k.Hash || len(s.Tags) != 1 {
		t.Errorf("%+v", s)
	}
	if s := store.SubjectOf(cachepolicy.Key{Hash: [16]byte{1}}, nil); s.Object != [16]byte{1} {
		t.Errorf("of a key without text: %+v", s)
	}
}

func TestTargetCheck(t *testing.T) {
	for _, target := range []store.Target{
		{Kind: store.TargetAll, Value: "x"}, {Kind: store.TargetRoute}, {Kind: store.TargetHost}, {Kind: store.TargetTag},
		{Kind: store.TargetPrefix, Value: "example.test"}, {Kind: store.TargetURL, Value: "/a"}, {Kind: store.TargetURL, Value: "example.test"},
		{Kind: store.TargetObject, Value: "00"}, {Kind: store.TargetObject, Value: strings.Repeat("x", 32)},
		{Kind: store.TargetURL + 1, Value: "x"}, {Kind: store.TargetTag, Value: strings.Repeat("x", store.MaxTargetValue+1)},
	} {
		if target.Check() == nil {
			t.Errorf("%v %.50q is accepted", target.Kind, target.Value)
		}
		e := store.NewEpochs(nil)
		born := e.Now()
		e.ApplyLocal(store.Purge{Targets: []store.Target{target}})
		if f, _ := e.SubjectFate(born, store.Subject{}); f != store.Hard {
			t.Errorf("%v %.50q, which can't be understood, leaves things %v", target.Kind, target.Value, f)
		}
	}
}

func TestSoftSince(t *testing.T) {
	now := noon
	e := store.NewEpochs(func() time.Time { return now })
	_, s := article("", "a", "b")
	soft := func(tag string, at time.Time) {
		e.ApplyLocal(store.Purge{At: at, Soft: true, Targets: []store.Target{{Kind: store.TargetTag, Value: tag}}})
	}
	born := e.Now()
	soft("a", noon.Add(-time.Minute))
	soft("b", noon.Add(-time.Second))
	if f, when := e.SubjectFate(born, s); f != store.Soft || !when.Equal(noon.Add(-time.Minute)) {
		t.Errorf("%v since %v: the earliest counts", f, when)
	}
	soft("a", noon.Add(time.Hour)) // by a clock that is ahead
	if f, when := e.SubjectFate(born, s); f != store.Soft || when.After(noon) {
		t.Errorf("%v since %v: not before it is known", f, when)
	}
	e.ApplyLocal(store.Purge{Targets: []store.Target{{Kind: store.TargetTag, Value: "b"}}})
	if f, _ := e.SubjectFate(born, s); f != store.Hard {
		t.Errorf("soft and hard: %v", f)
	}
}

func TestAnotherEra(t *testing.T) {
	e := store.NewEpochs(nil)
	born := e.Now()
	if e.Apply(store.Purge{Epoch: store.Epoch{Era: born.Era + 1, Seq: 5}, Targets: []store.Target{{}}}) || e.Now() != born {
		t.Error("a purge of another era is applied")
	}
	e.Restore(store.History{Epoch: store.FleetEpoch(born.Era+1, 5)})
	if f, _ := e.SubjectFate(born, store.Subject{}); f != store.Hard {
		t.Errorf("of another era: %v", f)
	}
	if f, _ := e.SubjectFate(store.FleetEpoch(born.Era+1, 0), store.Subject{}); f != store.Alive {
		t.Errorf("of the era, untouched: %v", f)
	}
	if f, _ := e.SubjectFate(store.Epoch{}, store.Subject{}); f != store.Hard {
		t.Errorf("of no era: %v", f)
	}
}

func TestLocalMomentsRunOut(t *testing.T) {
	e := store.NewEpochs(nil)
	last := store.Epoch{Era: e.Now().Era, Seq: 1<<store.LocalBits - 1}
	e.Apply(store.Purge{Epoch: last, Targets: []store.Target{{Kind: store.TargetTag, Value: "x"}}})
	if p := e.ApplyLocal(store.Purge{Targets: []store.Target{{}}}); p.Epoch != (store.Epoch{Era: last.Era, Seq: last.Seq + 1}) {
		t.Errorf("a history of its own ends at %+v", p.Epoch)
	}
	e = store.NewEpochs(nil)
	e.Restore(store.History{Epoch: store.FleetEpoch(store.NewEra(time.Now(), 0), 0)})
	last.Era = e.Now().Era
	e.Apply(store.Purge{Epoch: last, Targets: []store.Target{{Kind: store.TargetTag, Value: "x"}}})
	p := e.ApplyLocal(store.Purge{Targets: []store.Target{{Kind: store.TargetTag, Value: "y"}}})
	if f, _ := e.SubjectFate(last, store.Subject{}); f != store.Hard || p.Epoch.Fleet() != 0 {
		t.Errorf("%v, at %+v", f, p.Epoch)
	}
	if f, _ := e.SubjectFate(e.Now(), store.Subject{Tags: []string{"y"}}); f != store.Alive {
		t.Errorf("a new response is %v", f)
	}
}

// TestFullTableServesNothingPurged checks that a full table may hit more than necessary, but never
// less, and not everything.
func TestFullTableServesNothingPurged(t *testing.T) {
	kinds := map[store.TargetKind]func(i int) (string, store.Subject){
		store.TargetRoute: func(i int) (string, store.Subject) {
			s := fmt.Sprintf("r%d", i)
			return s, store.Subject{Route: s}
		},
		store.TargetHost: func(i int) (string, store.Subject) {
			s := fmt.Sprintf("h%d.test", i)
			return s, store.Subject{Host: s}
		},
		store.TargetPrefix: func(i int) (string, store.Subject) {
			s := "/" + strings.Repeat("x", i%50) + fmt.Sprint(i)
			return s, store.Subject{Path: s + "/y"}
		},
		store.TargetTag: func(i int) (string, store.Subject) {
			s := fmt.Sprintf("t%d", i)
			return s, store.Subject{Tags: []string{s}}
		},
		store.TargetURL: func(i int) (string, store.Subject) {
			s := fmt.Sprintf("/%d", i)
			return "h" + s, store.Subject{Host: "h", Path: s}
		},
		store.TargetObject: func(i int) (string, store.Subject) {
			k := cachepolicy.Key{Hash: [16]byte{byte(i), byte(i >> 8), byte(i >> 16), 1}}
			return store.ObjectTarget(k, "").Value, store.Subject{Object: k.Hash}
		},
	}
	const over = 20
	most := map[store.TargetKind]int{ // the limits of the tables
		store.TargetRoute: 1 << 10, store.TargetHost: 1 << 13, store.TargetPrefix: 1 << 13, store.TargetTag: 1 << 16, store.TargetURL: 1 << 16, store.TargetObject: 1 << 16,
	}
	for kind, target := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			e := store.NewEpochs(nil)
			born, n := e.Now(), most[kind]+over
			for i := range n {
				value, _ := target(i)
				e.ApplyLocal(store.Purge{Targets: []store.Target{{Kind: kind, Value: value}}})
			}
			for i := 0; i < n; i += 1 + i/(10*over)*17 { // the forgotten ones, and some others
				if _, s := target(i); fate(e, born, s) != store.Hard {
					t.Fatalf("purge %d of %d was forgotten, and a response that it hits is %v", i, n, fate(e, born, s))
				}
			}
			if _, s := target(0); fate(e, e.Now(), s) != store.Alive {
				t.Error("a new response is not alive")
			}
		})
	}
	t.Run("others live", func(t *testing.T) {
		e := store.NewEpochs(nil)
		born := e.Now()
		for i := range 1<<16 + over {
			e.ApplyLocal(store.Purge{Targets: []store.Target{{Kind: store.TargetTag, Value: fmt.Sprint(i)}}})
		}
		alive := 0
		for i := range 1000 {
			if fate(e, born, store.Subject{Tags: []string{fmt.Sprint("other", i)}}) == store.Alive {
				alive++
			}
		}
		if alive < 980 {
			t.Errorf("%d tags were forgotten, and %d of 1000 others are hit", over, 1000-alive)
		}
	})
}

func fate(e *store.Epochs, born store.Epoch, s store.Subject) store.Fate {
	f, _ := e.SubjectFate(born, s)
	return f
}

func TestObjectsAreForgottenUnlessSoft(t *testing.T) {
	now := noon
	e := store.NewEpochs(func() time.Time { return now })
	k, s := article("")
	born := e.Now()
	purge := func(target store.Target, soft bool) {
		e.ApplyLocal(store.Purge{Soft: soft, Targets: []store.Target{target}})
	}
	purge(store.ObjectTarget(k, "https://example.test/a/b/c"), false)
	now = now.Add(store.ObjectWindow - time.Second)
	purge(store.Target{Kind: store.TargetTag, Value: "x"}, false)
	if fate(e, born, s) != store.Hard {
		t.Error("forgotten too early")
	}
	now = now.Add(2 * time.Second)
	purge(store.Target{Kind: store.TargetTag, Value: "x"}, false)
	if fate(e, born, s) != store.Alive {
		t.Error("not forgotten")
	}
	purge(store.ObjectTarget(k, ""), true)
	now = now.Add(100 * store.ObjectWindow)
	purge(store.Target{Kind: store.TargetTag, Value: "x"}, false)
	if fate(e, born, s) != store.Soft {
		t.Error("a soft purge deletes nothing, and may not be forgotten")
	}
}

// TestFateOf checks that the next purge hits an entry that was found alive.
func TestFateOf(t *testing.T) {
	e := store.NewEpochs(nil)
	k, _ := article("", "a")
	en := &store.Entry{Epoch: e.Now(), Tags: []string{"a"}}
	want := func(want store.Fate) {
		t.Helper()
		for range 2 {
			if got, _ := e.FateOf(k, en); got != want {
				t.Errorf("%v, want %v", got, want)
			}
		}
	}
	purge := func(tag string) store.Epoch {
		return e.ApplyLocal(store.Purge{Targets: []store.Target{{Kind: store.TargetTag, Value: tag}}}).Epoch
	}
	want(store.Alive)
	before := e.Now()
	purge("b")
	want(store.Alive)
	// A purge may be applied after a later one. Entries that were found alive meanwhile are checked
	// again.
	e.Apply(store.Purge{Epoch: store.FleetEpoch(before.Era, 2), Targets: []store.Target{{Kind: store.TargetTag, Value: "c"}}})
	want(store.Alive)
	e.Apply(store.Purge{Epoch: store.FleetEpoch(before.Era, 1), Targets: []store.Target{{Kind: store.TargetTag, Value: "a"}}})
	want(store.Hard)
	en = &store.Entry{Epoch: e.Now(), Tags: []string{"a"}}
	want(store.Alive)
	e.Restore(store.History{Epoch: store.FleetEpoch(store.NewEra(time.Now(), 0), 1)})
	want(store.Hard)
}

func TestSubjectFateAllocatesNothing(t *testing.T) {
	e := store.NewEpochs(nil)
	k, s := article("x=1", "a", "b")
	en := &store.Entry{Epoch: e.Now(), Tags: s.Tags}
	born := e.Now()
	e.ApplyLocal(store.Purge{Targets: []store.Target{{Kind: store.TargetTag, Value: "c"}, {Kind: store.TargetPrefix, Value: "/b"}, {Kind: store.TargetURL, Value: "h/a"}}})
	for name, f := range map[string]func(){
		"after the newest":  func() { e.SubjectFate(e.Now(), s) },
		"before the newest": func() { e.SubjectFate(born, s) },
		"an entry":          func() { e.FateOf(k, en) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestLocalPurger(t *testing.T) {
	e := store.NewEpochs(nil)
	var applied []store.Purge
	l := &store.LocalPurger{Epochs: e, Applied: func(p store.Purge) { applied = append(applied, p) }}
	if _, err := l.Purge(t.Context(), store.Purge{}, 0); err == nil {
		t.Error("a purge of nothing")
	}
	born := e.Now()
	r, err := l.Purge(t.Context(), store.Purge{Targets: []store.Target{{}}}, 0)
	if err != nil || r.Instances != 1 || r.Applied != 1 || r.Epoch != e.Now() || len(applied) != 1 || applied[0].Epoch != r.Epoch {
		t.Errorf("%+v, %v, %+v", r, err, applied)
	}
	if fate(e, born, store.Subject{}) != store.Hard {
		t.Error("not applied")
	}
	if errors.Is(err, store.ErrUnreached) {
		t.Error("no other instance is known")
	}
}

// TestConcurrentPurgesAndLookups checks that lookups after a purge find older responses dead, while other
// goroutines purge and fill.
func TestConcurrentPurgesAndLookups(t *testing.T) {
	e := store.NewEpochs(nil)
	k, _ := article("", "x")
	var live atomic.Pointer[store.Entry]
	live.Store(&store.Entry{Epoch: e.Now(), Tags: []string{"x"}})
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		wg.Go(func() { // serves, and fills dead responses again
			for {
				select {
				case <-stop:
					return
				default:
				}
				if f, _ := e.FateOf(k, live.Load()); f == store.Hard {
					live.Store(&store.Entry{Epoch: e.Now(), Tags: []string{"x"}})
				}
			}
		})
	}
	for i := range 3000 {
		old := live.Load()
		tag := "x"
		if i%3 == 0 {
			tag = fmt.Sprint(i)
		}
		p := e.ApplyLocal(store.Purge{Targets: []store.Target{{Kind: store.TargetTag, Value: tag}}})
		f, _ := e.FateOf(k, old)
		if tag == "x" && old.Epoch.Seq < p.Epoch.Seq && f != store.Hard {
			t.Fatalf("purge %d: a response from before it is %v", i, f)
		}
		if now := live.Load(); tag != "x" && now == old && f == store.Soft {
			t.Fatalf("purge %d, of another tag: %v", i, f)
		}
	}
	close(stop)
	wg.Wait()
}

func BenchmarkSubjectFate(b *testing.B) {
	e := store.NewEpochs(nil)
	k, s := article("x=1", "a", "b")
	en := &store.Entry{Epoch: e.Now(), Tags: s.Tags}
	born := e.Now()
	for i := range 1000 {
		e.ApplyLocal(store.Purge{Targets: []store.Target{{Kind: store.TargetTag, Value: fmt.Sprint(i)}, {Kind: store.TargetPrefix, Value: fmt.Sprintf("/%d", i)}}})
	}
	for _, c := range []struct {
		name string
		f    func()
	}{
		{"new", func() { e.SubjectFate(e.Now(), s) }},
		{"old", func() { e.SubjectFate(born, s) }},
		{"entry", func() { e.FateOf(k, en) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.f()
			}
		})
	}
}

// TestOwnPurgeHitsResponseOfLaterEpoch: an instance that knows purge 1 takes over a response that
// was fetched after purge 2, and purges it by itself before it hears of purge 2.
func TestOwnPurgeHitsResponseOfLaterEpoch(t *testing.T) {
	e := store.NewEpochs(nil)
	e.Restore(store.History{Epoch: store.FleetEpoch(7, 1)})
	shared := &store.Entry{Epoch: store.FleetEpoch(7, 2), Tags: []string{"a"}}
	k := cachepolicy.KeyOf("key")
	shared.Epoch = e.CapToKnown(shared.Epoch)
	if f, _ := e.FateOf(k, shared); f != store.Alive {
		t.Errorf("before the purge: %v", f)
	}
	e.ApplyLocal(store.Purge{Targets: []store.Target{{Kind: store.TargetTag, Value: "a"}}})
	if f, _ := e.FateOf(k, shared); f != store.Hard {
		t.Errorf("after the purge: %v", f)
	}
	for _, born := range []store.Epoch{store.FleetEpoch(7, 1), store.FleetEpoch(8, 9), {}} {
		if got := e.CapToKnown(born); got != born {
			t.Errorf("%v becomes %v", born, got)
		}
	}
}
