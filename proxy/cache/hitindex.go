package cache

import (
	"hash/maphash"
	"math/bits"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/cache/tiers"
	"github.com/penstock/penstock/proxy/edge"
)

const (
	ways = 4 // remembered hits per slot
	// maxRemembered is the greatest length of host and target together that is remembered.
	maxRemembered = 2 << 10
	// rememberedHitCost is the memory of a remembered hit without its text.
	rememberedHitCost = 360
	captureCost       = 64 // of a captured parameter, without its value
	maxUses           = 7
	// patience is the number of rejected newcomers that take one use from the remembered hit in their
	// way.
	patience = 8
)

// HitIndex remembers requests, byte for byte, that were answered with a plain hit. A connection can
// then answer the next equal request without computing canonical form, route and key again. The
// index holds the place of the response and not the response: the response is looked up and judged
// each time.
//
// A hit index belongs to one compiled configuration and is dropped with it. It is bounded: a newcomer
// takes the room of a remembered hit that was not used lately, or is rejected. So a client that keeps
// asking for new URLs must send some thirty times as many requests as the other clients to push
// their requests out. The cost for them is one slower answer.
type HitIndex struct {
	cache   *Cache
	seed    maphash.Seed
	places  []place4
	asks    sync.Pool // of *asking
	accepts accepts
	bytes   atomic.Int64
	turn    atomic.Uint32
	most    int64
}

// Place says under which resource and key the response to a request is looked up.
type Place struct {
	Resource          *Resource
	Host, Path, Query string            // canonical
	Captured          map[string]string // the values that the route's path pattern captured; nil if no stage needs them
	// Key is zero if the request has no key, or if host, path and query alone do not determine it.
	Key cachepolicy.Key
}

// Located returns q with the place that it leads to. It shares the strings of both.
func (at *Place) Located(q *Question) edge.Located {
	return edge.Located{
		Method: q.Method, Scheme: q.Scheme, RawHost: q.Host, Target: q.Target, Client: q.Client,
		Host: at.Host, Path: at.Path, Query: at.Query, Captured: at.Captured, Route: at.Resource.Rules.Route, Key: at.Key,
		Fields: q.Fields,
	}
}

// located returns the request of r with the place that it leads to.
func (r *rememberedHit) located(client netip.Addr) *edge.Located {
	at := r.Place.Located(&Question{Method: r.method, Scheme: r.scheme, Host: r.host, Target: r.target, Client: client})
	return &at
}

type place4 [ways]atomic.Pointer[rememberedHit]

// rememberedHit is one remembered request and the place of its response.
type rememberedHit struct {
	Place
	hash         uint64
	method       string // "GET" or "HEAD"
	scheme       string
	host, target string        // as received
	uses         atomic.Uint32 // up to maxUses
	shapes       [ways]atomic.Pointer[shape]
	turn         atomic.Uint32 // of shapes
}

// NewHitIndex returns an empty HitIndex that uses about most bytes.
func (c *Cache) NewHitIndex(most int64) *HitIndex {
	n := max(most/rememberedHitCost/ways, 64)
	m := &HitIndex{cache: c, seed: maphash.MakeSeed(), most: most, places: make([]place4, 1<<bits.Len64(uint64(n-1)))}
	m.asks.New = newAsking
	return m
}

func (m *HitIndex) hash(method, scheme, host, target string) uint64 {
	h := maphash.String(m.seed, target) ^ bits.RotateLeft64(maphash.String(m.seed, host), 31)
	if scheme == "https" {
		h = ^h
	}
	if method == http.MethodHead {
		h = bits.ReverseBytes64(h)
	}
	return h
}

func (m *HitIndex) find(method, scheme, host, target string) *rememberedHit {
	h := m.hash(method, scheme, host, target)
	place := &m.places[h&uint64(len(m.places)-1)]
	for i := range place {
		if r := place[i].Load(); r != nil && r.hash == h && r.is(method, scheme, host, target) {
			return r
		}
	}
	return nil
}

// is reports whether r is the remembered hit of this request. The method counts, because a route may
// allow GET and not HEAD.
func (r *rememberedHit) is(method, scheme, host, target string) bool {
	return r.target == target && r.host == host && r.scheme == scheme && r.method == method
}

// touch counts a use, up to maxUses. Beyond that it does not write, so that processors do not
// compete for a hot remembered hit.
func (r *rememberedHit) touch() {
	if r.uses.Load() < maxUses {
		r.uses.Add(1)
	}
}

// age takes one use from the count.
func (r *rememberedHit) age() {
	if n := r.uses.Load(); n > 0 {
		r.uses.CompareAndSwap(n, n-1)
	}
}

func (r *rememberedHit) cost() int64 {
	n := rememberedHitCost + len(r.host) + len(r.target)
	for _, value := range r.Captured {
		n += captureCost + len(value)
	}
	return int64(n)
}

// Remember records a plain hit of res for the located request. It keeps all strings.
func (m *HitIndex) Remember(res *Resource, at *edge.Located) {
	m.remember(at.Method, at.Scheme, at.RawHost, at.Target, Place{res, at.Host, at.Path, at.Query, at.Captured, at.Key})
}

// remember records a plain hit on the response at a place. Host and target are those of the request
// as received. It keeps all strings.
func (m *HitIndex) remember(method, scheme, host, target string, at Place) {
	if len(host)+len(target) > maxRemembered {
		return
	}
	h := m.hash(method, scheme, host, target)
	place := &m.places[h&uint64(len(m.places)-1)]
	r := &rememberedHit{Place: at, hash: h, method: method, scheme: scheme, host: host, target: target}
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

// put replaces old, which may be nil, by r, and reports whether r is now remembered. If the index is
// full, the slot is left empty.
func (m *HitIndex) put(at *atomic.Pointer[rememberedHit], old, r *rememberedHit) bool {
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

// remember records a hit that the handler is about to deliver in a stored form, if a connection
// could answer it.
func (x *request) remember(reply *fill.Reply) {
	m := x.res.Hits
	if len(x.HTTP.Header["Range"]) > 0 || !reply.Entry.Complete() {
		return
	}
	if m == nil || reply.Decision.Action != cachepolicy.Serve || reply.Tier != "" || x.plan.tier != tiers.Memory || !plainRequest(x) {
		return
	}
	if !x.res.Rules.KeyedByURL() {
		return
	}
	m.remember(x.View.Method, x.View.Scheme, x.ev.RawHost, x.ev.RawTarget, Place{x.res, x.View.Host, x.View.Path, x.View.RawQuery, x.ev.Captured, x.Key})
}

// plainRequest reports whether x came in a form that a connection can answer: a GET or HEAD in
// origin-form, by HTTP/1.1 or HTTP/2.
func plainRequest(x *request) bool {
	return (x.HTTP.ProtoMajor == 1 && x.HTTP.ProtoMinor == 1 || x.HTTP.ProtoMajor == 2) && (x.View.Method == http.MethodGet || x.View.Method == http.MethodHead) &&
		x.ev.RawTarget != "" && x.ev.RawTarget[0] == '/'
}
