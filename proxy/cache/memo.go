package cache

import (
	"hash/maphash"
	"math/bits"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
)

const (
	ways = 4 // recollections that one place may hold
	// maxRemembered is the longest host and target, together, that is remembered.
	maxRemembered = 2 << 10
	// recollectionCost is the memory of a recollection beside its text.
	recollectionCost = 320
	maxUses          = 7
	// patience is how many newcomers in vain cost what was used one use.
	patience = 8
)

// Memo remembers which requests, byte for byte, were answered with a plain hit, so that a connection may answer the next one like it without canonical
// form, routing and key being found again. It holds where to look, not what is stored: what is stored is looked up and judged each time.
//
// It belongs to one compiled configuration and is gone with it. It is bounded: a newcomer takes the room of what has been of no use lately, or finds none. So
// one who asks for ever new URLs must ask some thirty times as often as others for what he wants pushed out; and that costs them one slower answer.
type Memo struct {
	cache   *Cache
	seed    maphash.Seed
	places  []place4
	asks    sync.Pool // of *asking
	accepts accepts
	bytes   atomic.Int64
	turn    atomic.Uint32
	most    int64
	// Locate, which is set before the first request comes, says where the answer to a request is that is not remembered, if its bytes alone tell. It
	// keeps nothing of what it is given. nil is for a memo that knows only what it remembers.
	Locate func(method, scheme, host, target string) (Place, bool)
}

// Place is where the answer to a request is to be looked for.
type Place struct {
	Resource *Resource
	Host     string // canonical
	Key      cachepolicy.Key
}

type place4 [ways]atomic.Pointer[recollection]

// recollection is where to look for the answer to a request.
type recollection struct {
	Place
	hash         uint64
	method       string // "GET" or "HEAD"
	scheme       string
	host, target string        // as they came
	uses         atomic.Uint32 // up to maxUses
	shapes       [ways]atomic.Pointer[shape]
	turn         atomic.Uint32 // of shapes
}

// NewMemo returns an empty Memo that takes most bytes, about.
func (c *Cache) NewMemo(most int64) *Memo {
	n := max(most/recollectionCost/ways, 64)
	m := &Memo{cache: c, seed: maphash.MakeSeed(), most: most, places: make([]place4, 1<<bits.Len64(uint64(n-1)))}
	m.asks.New = newAsking
	return m
}

func (m *Memo) hash(method, scheme, host, target string) uint64 {
	h := maphash.String(m.seed, target) ^ bits.RotateLeft64(maphash.String(m.seed, host), 31)
	if scheme == "https" {
		h = ^h
	}
	if method == http.MethodHead {
		h = bits.ReverseBytes64(h)
	}
	return h
}

func (m *Memo) find(method, scheme, host, target string) *recollection {
	h := m.hash(method, scheme, host, target)
	place := &m.places[h&uint64(len(m.places)-1)]
	for i := range place {
		if r := place[i].Load(); r != nil && r.hash == h && r.is(method, scheme, host, target) {
			return r
		}
	}
	return nil
}

// is reports whether r is of this request. A route may have GET and no HEAD.
func (r *recollection) is(method, scheme, host, target string) bool {
	return r.target == target && r.host == host && r.scheme == scheme && r.method == method
}

// touch notes a use. What is used much is not written to each time.
func (r *recollection) touch() {
	if r.uses.Load() < maxUses {
		r.uses.Add(1)
	}
}

// age takes a use back.
func (r *recollection) age() {
	if n := r.uses.Load(); n > 0 {
		r.uses.CompareAndSwap(n, n-1)
	}
}

func (r *recollection) cost() int64 { return int64(recollectionCost + len(r.host) + len(r.target)) }

// remember takes note of a plain hit on what is stored at a place. Host and target are those of the request as it came. All texts are kept.
func (m *Memo) remember(method, scheme, host, target string, at Place) {
	if len(host)+len(target) > maxRemembered {
		return
	}
	h := m.hash(method, scheme, host, target)
	place := &m.places[h&uint64(len(m.places)-1)]
	r := &recollection{Place: at, hash: h, method: method, scheme: scheme, host: host, target: target}
	for i := range place {
		if old := place[i].Load(); old != nil && old.is(method, scheme, host, target) || old == nil && m.put(&place[i], nil, r) {
			return
		}
	}
	turn := m.turn.Add(1)
	way := &place[turn%ways]
	switch old := way.Load(); {
	case old == nil || old.uses.Load() == 0:
		m.put(way, old, r)
	case turn/ways%patience == 0:
		old.age()
	}
}

// put puts r in the place of old, which may be nil. If the memo is full, the place is left empty.
func (m *Memo) put(at *atomic.Pointer[recollection], old, r *recollection) bool {
	cost := r.cost()
	if old != nil {
		cost -= old.cost()
	}
	if m.bytes.Load()+cost > m.most {
		if cost -= r.cost(); old == nil {
			return false
		}
		r = nil
	}
	if !at.CompareAndSwap(old, r) {
		return false
	}
	m.bytes.Add(cost)
	return r != nil
}

// recall is called for each hit that the slow path delivers whole and as it is.
func (d *delivery) recall(e *store.Entry) {
	x := d.x
	m := x.res.Memo
	if m == nil || d.reply.decision.Action != cachepolicy.Serve || d.reply.tier != "" || x.tier != tierMemory || !plainRequest(x) {
		return
	}
	if !x.res.Rules.KeyedByURL() {
		return
	}
	m.remember(x.q.Method, x.q.Scheme, x.ev.RawHost, x.ev.RawTarget, Place{x.res, x.q.Host, x.key})
}

// plainRequest reports whether a request came as a connection can answer it.
func plainRequest(x *exchange) bool {
	return (x.r.ProtoMajor == 1 && x.r.ProtoMinor == 1 || x.r.ProtoMajor == 2) && (x.q.Method == http.MethodGet || x.q.Method == http.MethodHead) &&
		x.ev.RawTarget != "" && x.ev.RawTarget[0] == '/'
}
