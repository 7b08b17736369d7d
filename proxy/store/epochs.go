package store

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/cachepolicy"
)

// How many targets of a kind are remembered one by one. What is forgotten over that leaves a floor (see table).
const (
	maxTags     = 1 << 16
	maxURLs     = 1 << 16
	maxObjects  = 1 << 16
	maxPrefixes = 1 << 13
	maxHosts    = 1 << 13
	maxRoutes   = 1 << 10
)

// ObjectWindow is how long a hard purge of one object is remembered. The object is deleted as well, so this need only outlast the fills that had
// begun before.
const ObjectWindow = 10 * time.Minute

// Epochs is what an instance knows of the history of purges. It may be used concurrently.
//
// A purge is one note here, whatever number of stored responses it concerns: each of them carries the Epoch at which its fill began, and is judged by
// the notes when it is looked up. So a fill that began before a purge brings in nothing that outlives it, no matter when or where it is stored.
type Epochs struct {
	now     func() time.Time
	newest  atomic.Pointer[Epoch]
	version atomic.Uint64 // of the notes: grows with each change of them

	mu       sync.RWMutex
	fleet    bool // the era is that of a fleet, of whose purges the upper bits count
	all      mark
	routes   table[string]
	hosts    table[string]
	tags     table[string]
	prefixes table[hostPath]
	lengths  lengths // of the paths in prefixes
	urls     table[hostPathQuery]
	objects  table[[16]byte] // hard purges, which are forgotten after ObjectWindow
	faded    table[[16]byte] // soft ones, which delete nothing and must be kept
}

type hostPath struct{ host, path string }

type hostPathQuery struct{ host, path, query string }

// NewEpochs returns a history of its own, which begins now. now is the clock; nil: time.Now.
func NewEpochs(now func() time.Time) *Epochs {
	if now == nil {
		now = time.Now
	}
	e := &Epochs{now: now}
	e.begin(NewEra())
	return e
}

// NewEra is a name that no other history has.
func NewEra() uint64 {
	for {
		if era := rand.Uint64(); era != 0 {
			return era
		}
	}
}

// begin forgets everything. The lock is held, or nobody else has e yet.
func (e *Epochs) begin(era uint64) {
	e.fleet = false
	e.all = mark{}
	e.routes.init(maxRoutes)
	e.hosts.init(maxHosts)
	e.tags.init(maxTags)
	e.prefixes.init(maxPrefixes)
	e.lengths = lengths{}
	e.urls.init(maxURLs)
	e.objects.init(maxObjects)
	e.faded.init(maxObjects)
	e.newest.Store(&Epoch{Era: era})
	e.version.Add(1)
}

// Now is the newest moment that is known: the one that a fill carries which begins now.
func (e *Epochs) Now() Epoch { return *e.newest.Load() }

// Apply takes note of a purge. Purges may be applied in any order and more than once. One of another era than the current is refused: what
// it would be compared with is of no use, see Restore.
func (e *Epochs) Apply(p Purge) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	newest := e.Now()
	if p.Epoch.Era != newest.Era {
		return false
	}
	e.note(p)
	e.advance(Epoch{newest.Era, max(newest.Seq, p.Epoch.Seq)})
	return true
}

// advance makes what was noted visible to those who look without the lock. Those who see the old moment still are as if they had come before.
func (e *Epochs) advance(to Epoch) {
	e.version.Add(1)
	e.newest.Store(&to)
}

// ApplyLocal gives p the next moment that is this instance's alone, applies it, and returns it.
func (e *Epochs) ApplyLocal(p Purge) Purge {
	e.mu.Lock()
	defer e.mu.Unlock()
	next := e.Now()
	next.Seq++
	if e.fleet && next.Seq&(1<<LocalBits-1) == 0 {
		// The next would be one of the fleet's, from which this instance has been cut off for millions of purges. A new era is always right.
		e.begin(NewEra())
		next = Epoch{e.Now().Era, 1}
	}
	p.Epoch = next
	e.note(p)
	e.advance(next)
	return p
}

// note enters the targets of a purge.
func (e *Epochs) note(p Purge) {
	now := e.now()
	b := blow{seq: p.Epoch.Seq, soft: p.Soft, at: p.At, noted: now}
	if b.at.After(now) || b.at.IsZero() {
		b.at = now // another instance's clock runs ahead: what is stale by now must not wait until it is
	}
	for _, t := range p.Targets {
		e.strike(t, b)
	}
	e.objects.forget(now.Add(-ObjectWindow))
}

// strike enters one target. What can't be understood, as it may come from a newer release, hits everything: nothing may be served that may have
// been purged.
func (e *Epochs) strike(t Target, b blow) {
	if t.Check() != nil {
		e.all.strike(b)
		return
	}
	cell := t.Cell()
	switch t.Kind {
	case TargetRoute:
		e.routes.strike(t.Value, cell, b)
	case TargetHost:
		e.hosts.strike(t.Value, cell, b)
	case TargetTag:
		e.tags.strike(t.Value, cell, b)
	case TargetPrefix:
		e.strikePrefix(t.Value, cell, b)
	case TargetURL:
		e.urls.strike(cutURL(t.Value), cell, b)
	case TargetObject:
		object, _ := objectOf(t.Value)
		if b.soft {
			e.faded.strike(object, cell, b)
		} else {
			e.objects.strike(object, cell, b)
		}
	default:
		e.all.strike(b)
	}
}

func (e *Epochs) strikePrefix(value string, cell uint16, b blow) {
	p := cutHost(value)
	isNew, forgotten, full := e.prefixes.strike(p, cell, b)
	if isNew {
		e.lengths.add(len(p.path))
	}
	if full {
		e.lengths.remove(len(forgotten.path))
	}
}

// Judge says what has become of a response for s whose fill began at born, and since when it is stale if it is Soft: of each target that hits it,
// the newest soft purge counts, and of several targets the earliest.
func (e *Epochs) Judge(born Epoch, s Subject) (Fate, time.Time) {
	newest := e.newest.Load()
	if born.Era == newest.Era && born.Seq >= newest.Seq {
		return Alive, time.Time{} // born after every purge that is known
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.judge(born, &s)
}

// FateOf is Judge for an entry that is stored under k. An entry that has been found alive is not looked into again until there is a new purge.
func (e *Epochs) FateOf(k cachepolicy.Key, en *Entry) (Fate, time.Time) {
	newest := e.newest.Load()
	if en.Epoch.Era == newest.Era && en.Epoch.Seq >= newest.Seq || en.cleared.Load() == e.version.Load() {
		return Alive, time.Time{}
	}
	s := SubjectOf(k, en.Tags)
	e.mu.RLock()
	defer e.mu.RUnlock()
	fate, when := e.judge(en.Epoch, &s)
	if fate == Alive {
		en.cleared.Store(e.version.Load())
	}
	return fate, when
}

// judge compares with every note that may concern s. The lock is held.
func (e *Epochs) judge(born Epoch, s *Subject) (Fate, time.Time) {
	if born.Era != e.Now().Era {
		return Hard, time.Time{}
	}
	t := trial{born: born.Seq}
	t.face(&e.all)
	e.routes.confront(&t, s.Route, s.Route)
	e.hosts.confront(&t, s.Host, s.Host)
	e.urls.confront(&t, hostPathQuery{s.Host, s.Path, s.Query}, s.Host, s.Path, "?", s.Query)
	e.objects.confrontCell(&t, s.Object, objectCell(s.Object))
	e.faded.confrontCell(&t, s.Object, objectCell(s.Object))
	for _, tag := range s.Tags {
		e.tags.confront(&t, tag, tag)
	}
	e.judgePrefixes(&t, s)
	return t.fate()
}

// judgePrefixes looks up the beginnings of the path that have the length of some prefix: as many as there are lengths, not prefixes.
func (e *Epochs) judgePrefixes(t *trial, s *Subject) {
	t.face(&e.prefixes.floors[0])
	for _, n := range e.lengths.sorted {
		if n > len(s.Path) {
			return
		}
		e.prefixes.look(t, hostPath{"", s.Path[:n]})
		e.prefixes.look(t, hostPath{s.Host, s.Path[:n]})
	}
}

// lengths counts how many prefixes have each length.
type lengths struct {
	sorted []int
	count  map[int]int
}

func (l *lengths) add(n int) {
	if l.count == nil {
		l.count = make(map[int]int)
	}
	if l.count[n]++; l.count[n] == 1 {
		at, _ := slices.BinarySearch(l.sorted, n)
		l.sorted = slices.Insert(l.sorted, at, n)
	}
}

func (l *lengths) remove(n int) {
	if l.count[n]--; l.count[n] == 0 {
		delete(l.count, n)
		at, _ := slices.BinarySearch(l.sorted, n)
		l.sorted = slices.Delete(l.sorted, at, at+1)
	}
}
