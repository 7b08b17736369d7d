package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
)

// fleet is a number of instances that hear of purges at different times, and a tier that they
// share.
type fleet struct {
	t         *rapid.T
	now       time.Time
	era       uint64
	history   []store.Purge // of all instances, in order
	instances []*instance
	filling   []*filled
	stored    []*filled
}

// instance is the knowledge of one instance: its Epochs, and for the model the list of applied
// purges.
type instance struct {
	epochs *store.Epochs
	heard  int // index into history
	knows  []store.Purge
}

// filled is a stored response. begun is the number of purges made before its fill began.
type filled struct {
	born  store.Epoch
	begun int
	s     store.Subject
}

func newFleet(t *rapid.T) *fleet {
	f := &fleet{t: t, now: noon, era: 1}
	for range rapid.IntRange(1, 3).Draw(t, "instances") {
		i := &instance{epochs: store.NewEpochs(func() time.Time { return f.now })}
		i.epochs.Restore(store.History{Epoch: store.FleetEpoch(f.era, 0)})
		f.instances = append(f.instances, i)
	}
	return f
}

func pick[T any](t *rapid.T, label string, of ...T) T { return rapid.SampledFrom(of).Draw(t, label) }

func (f *fleet) drawSubject() store.Subject {
	t := f.t
	s := store.Subject{
		Route: pick(t, "route", "r", "q"), Host: pick(t, "host", "h", "g"), Path: pick(t, "path", "/", "/a", "/a/", "/a/b", "/ab"),
		Query: pick(t, "query", "", "x"), Tags: pick(t, "tags", nil, []string{"t"}, []string{"t", "u"}),
	}
	s.Object[0] = byte(rapid.IntRange(0, 2).Draw(t, "object"))
	return s
}

func (f *fleet) drawPurge() store.Purge {
	t := f.t
	p := store.Purge{At: f.now, Soft: rapid.Bool().Draw(t, "soft")}
	for range rapid.IntRange(1, 2).Draw(t, "targets") {
		s := f.drawSubject()
		target := store.Target{Kind: store.TargetKind(rapid.IntRange(0, 6).Draw(t, "kind"))}
		switch target.Kind {
		case store.TargetRoute:
			target.Value = s.Route
		case store.TargetHost:
			target.Value = s.Host
		case store.TargetPrefix:
			target.Value = pick(t, "prefix host", "", s.Host) + s.Path
		case store.TargetTag:
			target.Value = pick(t, "tag", "t", "u", "v")
		case store.TargetURL:
			target = store.URLTarget(s.Host, s.Path, s.Query)
		case store.TargetObject:
			target = store.ObjectTarget(cachepolicy.Key{Hash: s.Object}, "")
		}
		p.Targets = append(p.Targets, target)
	}
	return p
}

// hits is the meaning of a target in its simplest form.
func hits(target store.Target, s store.Subject) bool {
	switch target.Kind {
	case store.TargetAll:
		return true
	case store.TargetRoute:
		return target.Value == s.Route
	case store.TargetHost:
		return target.Value == s.Host
	case store.TargetPrefix:
		return strings.HasPrefix(s.Path, target.Value) || strings.HasPrefix(s.Host+s.Path, target.Value) && target.Value[0] != '/'
	case store.TargetTag:
		return slices.Contains(s.Tags, target.Value)
	case store.TargetURL:
		return target == store.URLTarget(s.Host, s.Path, s.Query)
	}
	return target.Value == fmt.Sprintf("%x", s.Object)
}

// expectedFate is the model's fate: it checks all purges that the instance knows.
func (i *instance) expectedFate(born store.Epoch, s store.Subject) (store.Fate, time.Time) {
	newest := map[store.Target]time.Time{}
	for _, p := range i.knows {
		for _, target := range p.Targets {
			switch {
			case p.Epoch.Seq <= born.Seq || !hits(target, s):
			case !p.Soft:
				return store.Hard, time.Time{}
			default:
				newest[target] = p.At
			}
		}
	}
	fate, since := store.Alive, time.Time{}
	for _, at := range newest {
		if fate == store.Alive || at.Before(since) {
			fate, since = store.Soft, at
		}
	}
	return fate, since
}

func (f *fleet) begin() {
	i := pick(f.t, "filler", f.instances...)
	f.filling = append(f.filling, &filled{born: i.epochs.Now(), begun: len(f.history), s: f.drawSubject()})
}

func (f *fleet) end() {
	if len(f.filling) == 0 {
		return
	}
	n := rapid.IntRange(0, len(f.filling)-1).Draw(f.t, "fill")
	f.stored = append(f.stored, f.filling[n])
	f.filling = slices.Delete(f.filling, n, n+1)
}

// purge adds a purge to the history. The purging instance applies it at once, whatever it has not
// heard yet; the others hear of it later.
func (f *fleet) purge() {
	p := f.drawPurge()
	p.Epoch = store.FleetEpoch(f.era, uint64(len(f.history)+1))
	f.history = append(f.history, p)
	if i := pick(f.t, "purger", f.instances...); rapid.Bool().Draw(f.t, "ahead") {
		i.apply(p)
	}
}

func (i *instance) apply(p store.Purge) {
	i.epochs.Apply(p)
	i.knows = append(i.knows, p)
	slices.SortStableFunc(i.knows, func(a, b store.Purge) int { return int(a.Epoch.Seq) - int(b.Epoch.Seq) })
}

func (f *fleet) hear() {
	i := pick(f.t, "hearer", f.instances...)
	for n := rapid.IntRange(1, 3).Draw(f.t, "messages"); n > 0 && i.heard < len(f.history); n-- {
		i.apply(f.history[i.heard])
		i.heard++
	}
}

// restore gives an instance the newest purge of each target instead of the purges that it has
// missed.
func (f *fleet) restore() {
	i := pick(f.t, "restored", f.instances...)
	h := store.History{Epoch: store.FleetEpoch(f.era, uint64(len(f.history)))}
	for n, p := range f.history {
		for _, target := range p.Targets {
			h.Entries = append(h.Entries, store.PurgeEntry{Target: target, Seq: p.Epoch.Seq, Soft: p.Soft, At: p.At})
		}
		if n >= i.heard {
			i.knows = append(i.knows, p)
		}
	}
	slices.SortStableFunc(i.knows, func(a, b store.Purge) int { return int(a.Epoch.Seq) - int(b.Epoch.Seq) })
	i.heard = len(f.history)
	i.epochs.Restore(h)
}

// local is a purge by an instance that is cut off.
func (f *fleet) local() {
	i := pick(f.t, "alone", f.instances...)
	i.knows = append(i.knows, i.epochs.ApplyLocal(f.drawPurge()))
}

func (f *fleet) compareAll() {
	for _, e := range f.stored {
		for n, i := range f.instances {
			got, since := i.epochs.SubjectFate(e.born, e.s)
			if want, wantSince := i.expectedFate(e.born, e.s); got != want || !since.Equal(wantSince) {
				f.t.Fatalf("instance %d: %+v born at %+v is %v since %v, want %v since %v; it knows %+v", n, e.s, e.born, got, since, want, wantSince, i.knows)
			}
			f.mustBeDead(n, e, got)
		}
	}
}

// mustBeDead checks the essential property: if an instance has heard of a hard purge, no response
// whose fill began before the purge is alive there.
func (f *fleet) mustBeDead(n int, e *filled, got store.Fate) {
	for _, p := range f.history[min(e.begun, f.instances[n].heard):f.instances[n].heard] {
		for _, target := range p.Targets {
			if hits(target, e.s) && (got == store.Alive || got == store.Soft && !p.Soft) {
				f.t.Fatalf("instance %d knows the purge %+v, but a response from before it is %v", n, p, got)
			}
		}
	}
}

func TestEpochsAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFleet(t)
		step := func(do func()) func(*rapid.T) { return func(*rapid.T) { do() } }
		t.Repeat(map[string]func(*rapid.T){
			"begin": step(f.begin), "end": step(f.end), "purge": step(f.purge), "hear": step(f.hear), "hear on": step(f.hear),
			"restore": step(f.restore), "local": step(f.local),
			"time": step(func() { f.now = f.now.Add(time.Second) }),
			"":     step(f.compareAll),
		})
	})
}
