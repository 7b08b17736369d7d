package store

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/cachepolicy"
)

// Limits of the targets of a kind that are remembered one by one. If there are more, the forgotten
// ones raise a floor (see table).
const (
	maxTags     = 1 << 16
	maxURLs     = 1 << 16
	maxObjects  = 1 << 16
	maxPrefixes = 1 << 13
	maxHosts    = 1 << 13
	maxRoutes   = 1 << 10
)

// ObjectWindow is how long a hard purge of one object is remembered. Since the purge also deletes
// the object, this need only exceed the duration of fills that began before the purge.
const ObjectWindow = 10 * time.Minute

// Epochs holds the purges that an instance knows. It may be used concurrently.
//
// A purge is recorded once here, however many stored responses it hits. Each response carries the
// Epoch at which its fill began, and a lookup compares that Epoch with the recorded purges. So a
// response whose fill began before a purge never outlives the purge, no matter when or where it is
// stored.
type Epochs struct {
	now     func() time.Time
	newest  atomic.Pointer[Epoch]
	version atomic.Uint64 // grows with each change of the recorded purges
	trust   trust

	mu          sync.RWMutex
	fleet       bool // true if the era belongs to a fleet, whose purges the upper bits of Seq count
	all         lastPurges
	routes      table[string]
	hosts       table[string]
	tags        table[string]
	anyTag      lastPurges // of all tags together; it hits responses with MoreTags
	prefixes    table[hostPath]
	lengths     lengths // of the paths in prefixes
	urls        table[hostPathQuery]
	hardObjects table[[16]byte] // hard purges, which are forgotten after ObjectWindow
	softObjects table[[16]byte] // soft purges, which delete nothing and must be kept
}

type hostPath struct{ host, path string }

type hostPathQuery struct{ host, path, query string }

// NewEpochs returns an empty history with an era of its own. now is the clock; if it is nil,
// time.Now is used.
func NewEpochs(now func() time.Time) *Epochs {
	if now == nil {
		now = time.Now
	}
	e := &Epochs{now: now}
	e.trust.init()
	e.begin(NewEra(e.now(), 0))
	return e
}

// NewEra returns an identifier for a new era. It is greater than known, and greater than every
// earlier era if the clocks of the instances agree. If Redis is restored from an old copy, an
// instance recognises the old history by its smaller era.
func NewEra(now time.Time, known uint64) uint64 {
	const randomBits = 20
	return max(uint64(max(now.UnixMilli(), 1))<<randomBits|uint64(rand.Uint32N(1<<randomBits)), known+1)
}

// begin forgets all purges and starts an era. The caller holds the lock, or is the only user of e.
func (e *Epochs) begin(era uint64) {
	e.fleet = false
	e.all = lastPurges{}
	e.routes.init(maxRoutes)
	e.hosts.init(maxHosts)
	e.tags.init(maxTags)
	e.anyTag = lastPurges{}
	e.prefixes.init(maxPrefixes)
	e.lengths = lengths{}
	e.urls.init(maxURLs)
	e.hardObjects.init(maxObjects)
	e.softObjects.init(maxObjects)
	e.newest.Store(&Epoch{Era: era})
	e.version.Add(1)
}

// Now returns the newest moment that this instance knows. A fill that begins now carries it.
func (e *Epochs) Now() Epoch { return *e.newest.Load() }

// CapToKnown returns born, or the newest moment known if born is later in the same era. That
// happens if an instance that has heard of more purges has shared the response. Purges that this
// instance makes before it hears of them then count as later than the response. This may purge a
// response needlessly, but otherwise the instance could serve a response that it has itself purged.
func (e *Epochs) CapToKnown(born Epoch) Epoch {
	if now := e.Now(); born.Era == now.Era && born.Seq > now.Seq {
		return now
	}
	return born
}

// Apply records a purge, and reports whether it did. Purges may be applied in any order and more
// than once. If the purge belongs to another era than the current one, Apply ignores it; see
// Restore for a change of era.
//
// own are purges that only this instance knows so far. They are recorded again at its own next
// moment after p. So they also hit responses that other instances have fetched before p.
func (e *Epochs) Apply(p Purge, own ...Purge) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	newest := e.Now()
	if p.Epoch.Era != newest.Era {
		return false
	}
	e.note(p)
	e.advance(e.noteOwn(Epoch{newest.Era, max(newest.Seq, p.Epoch.Seq)}, own))
	return true
}

// noteOwn records purges at the instance's own next moment after the given one, which it returns.
func (e *Epochs) noteOwn(after Epoch, own []Purge) Epoch {
	if len(own) == 0 {
		return after
	}
	after.Seq++
	for _, p := range own {
		p.Epoch = after
		e.note(p)
	}
	return after
}

// advance publishes the recorded purges to readers that take no lock. A reader that still sees the
// old moment counts as having come before the purge.
func (e *Epochs) advance(to Epoch) {
	e.version.Add(1)
	e.newest.Store(&to)
}

// ApplyLocal gives p the next moment of this instance alone, applies it, and returns it.
func (e *Epochs) ApplyLocal(p Purge) Purge {
	e.mu.Lock()
	defer e.mu.Unlock()
	next := e.Now()
	next.Seq++
	if e.fleet && next.Seq&(1<<LocalBits-1) == 0 {
		// The next moment would be one of the fleet's. This instance has been cut off for millions
		// of purges. A new era is always safe.
		e.begin(NewEra(e.now(), next.Era))
		next = Epoch{e.Now().Era, 1}
	}
	p.Epoch = next
	e.note(p)
	e.advance(next)
	return p
}

// note records all targets of a purge.
func (e *Epochs) note(p Purge) {
	now := e.now()
	b := purgeEvent{seq: p.Epoch.Seq, soft: p.Soft, at: p.At, noted: now}
	if b.at.After(now) || b.at.IsZero() {
		b.at = now // the other instance's clock is ahead, and a purged response must be stale at once
	}
	for _, t := range p.Targets {
		e.record(t, b)
	}
	e.hardObjects.forget(now.Add(-ObjectWindow))
}

// record adds a purge of one target. If the target can't be understood, because it may come from a
// newer release, the purge hits everything. Otherwise the instance could serve a purged response.
func (e *Epochs) record(t Target, b purgeEvent) {
	if t.Check() != nil {
		e.all.record(b)
		return
	}
	cell := t.Cell()
	switch t.Kind {
	case TargetRoute:
		e.routes.record(t.Value, cell, b)
	case TargetHost:
		e.hosts.record(t.Value, cell, b)
	case TargetTag:
		e.tags.record(t.Value, cell, b)
		e.anyTag.record(b)
	case TargetPrefix:
		e.recordPrefix(t.Value, cell, b)
	case TargetURL:
		e.urls.record(cutURL(t.Value), cell, b)
	case TargetObject:
		object, _ := objectOf(t.Value)
		if b.soft {
			e.softObjects.record(object, cell, b)
		} else {
			e.hardObjects.record(object, cell, b)
		}
	default:
		e.all.record(b)
	}
}

func (e *Epochs) recordPrefix(value string, cell uint16, b purgeEvent) {
	p := cutHost(value)
	isNew, forgotten, full := e.prefixes.record(p, cell, b)
	if isNew {
		e.lengths.add(len(p.path))
	}
	if full {
		e.lengths.remove(len(forgotten.path))
	}
}

// SubjectFate returns the effect of all known purges on a response for s whose fill began at born.
// If the fate is Soft, it also returns the time from which the response is stale: the newest soft
// purge counts of each target that hits the response, and the earliest of these counts among
// several targets.
func (e *Epochs) SubjectFate(born Epoch, s Subject) (Fate, time.Time) {
	newest := e.newest.Load()
	if born.Era == newest.Era && born.Seq >= newest.Seq {
		return Alive, time.Time{} // the fill began after every known purge
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.matchPurges(born, &s)
}

// FateOf is SubjectFate for an entry under k. If this instance may have missed purges (see
// TrustUntil), an entry that no known purge removes is Doubtful.
func (e *Epochs) FateOf(k cachepolicy.Key, en *Entry) (Fate, time.Time) {
	fate, when := e.fateOf(k, en)
	if fate != Hard && e.trust.ended() {
		return Doubtful, time.Time{}
	}
	return fate, when
}

// fateOf is FateOf for the known purges. If an entry was found alive, it is not checked again until
// there is a new purge.
func (e *Epochs) fateOf(k cachepolicy.Key, en *Entry) (Fate, time.Time) {
	newest := e.newest.Load()
	if en.Epoch.Era == newest.Era && en.Epoch.Seq >= newest.Seq || en.cleared.Load() == e.version.Load() {
		return Alive, time.Time{}
	}
	s := SubjectOf(k, en.Tags)
	e.mu.RLock()
	defer e.mu.RUnlock()
	fate, when := e.matchPurges(en.Epoch, &s)
	if fate == Alive {
		en.cleared.Store(e.version.Load())
	}
	return fate, when
}

// matchPurges applies every recorded purge that may hit s. The caller holds the lock.
func (e *Epochs) matchPurges(born Epoch, s *Subject) (Fate, time.Time) {
	if born.Era != e.Now().Era {
		return Hard, time.Time{}
	}
	t := verdict{born: born.Seq}
	t.compare(&e.all)
	e.routes.check(&t, s.Route, s.Route)
	e.hosts.check(&t, s.Host, s.Host)
	e.urls.check(&t, hostPathQuery{s.Host, s.Path, s.Query}, s.Host, s.Path, "?", s.Query)
	e.hardObjects.checkCell(&t, s.Object, objectCell(s.Object))
	e.softObjects.checkCell(&t, s.Object, objectCell(s.Object))
	for _, tag := range s.Tags {
		if tag == MoreTags {
			t.compare(&e.anyTag)
			continue
		}
		e.tags.check(&t, tag, tag)
	}
	e.matchPrefixes(&t, s)
	e.matchPages(&t, s)
	return t.fate()
}

// matchPrefixes looks up each leading part of the path whose length is that of some purged prefix.
// The cost grows with the number of distinct lengths, not of prefixes.
func (e *Epochs) matchPrefixes(t *verdict, s *Subject) {
	t.compare(&e.prefixes.floors[0])
	for _, n := range e.lengths.sorted {
		if n > len(s.Path) {
			return
		}
		e.prefixes.checkEntry(t, hostPath{"", s.Path[:n]})
		e.prefixes.checkEntry(t, hostPath{s.Host, s.Path[:n]})
	}
}

// lengths counts the prefixes of each length.
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

// trust is the time until which an instance is sure to have heard of every acknowledged purge.
// Reading it costs one atomic load, and in a fleet a look at the clock. The clock is the monotonic
// one of the process, so setting the clock or pausing the process can't extend the time.
type trust struct {
	base  time.Time
	until atomic.Int64 // nanoseconds after base
}

func (t *trust) init() {
	t.base = time.Now()
	t.until.Store(math.MaxInt64)
}

// ended reports whether the time is over.
func (t *trust) ended() bool {
	until := t.until.Load()
	return until != math.MaxInt64 && int64(time.Since(t.base)) >= until
}

// TrustUntil limits the time in which stored responses are served without asking their origin.
// After t other instances may have acknowledged a purge that this instance has not received, so
// FateOf returns Doubtful. If TrustUntil is never called, the time has no end. t must have a
// monotonic reading. The zero time counts as passed.
func (e *Epochs) TrustUntil(t time.Time) {
	if t.IsZero() {
		e.trust.until.Store(0)
		return
	}
	e.trust.until.Store(int64(t.Sub(e.trust.base)))
}

// Doubts reports whether the time of TrustUntil is over.
func (e *Epochs) Doubts() bool { return e.trust.ended() }
