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
)

// Memo remembers which requests, byte for byte, the slow path has answered with a plain hit, so that a connection may answer the next one like it without
// canonical form, routing and key being found again. It holds where to look, not what is stored: what is stored is looked up and judged each time.
//
// It belongs to one compiled configuration and is gone with it. It is bounded: in each place newcomers take the room of what has been of no use since
// the last of them came, and find none where all was used. So one who asks for ever new URLs pushes out what is asked for less often than that; and
// what is pushed out costs one slower answer.
type Memo struct {
	cache   *Cache
	seed    maphash.Seed
	places  []place4
	asks    sync.Pool // of *asking
	accepts accepts
	bytes   atomic.Int64
	most    int64
}

type place4 [ways]atomic.Pointer[recollection]

// recollection is where to look for the answer to a request.
type recollection struct {
	hash          uint64
	scheme        string
	host, target  string // as they came
	canonicalHost string
	res           *Resource
	key           cachepolicy.Key
	uses          atomic.Uint32 // up to maxUses
	shapes        [ways]atomic.Pointer[shape]
	turn          atomic.Uint32 // of shapes
}

// NewMemo returns an empty Memo that takes most bytes, about.
func (c *Cache) NewMemo(most int64) *Memo {
	n := max(most/recollectionCost/ways, 64)
	m := &Memo{cache: c, seed: maphash.MakeSeed(), most: most, places: make([]place4, 1<<bits.Len64(uint64(n-1)))}
	m.asks.New = newAsking
	return m
}

func (m *Memo) hash(scheme, host, target string) uint64 {
	h := maphash.String(m.seed, target) ^ bits.RotateLeft64(maphash.String(m.seed, host), 31)
	if scheme == "https" {
		h = ^h
	}
	return h
}

func (m *Memo) find(scheme, host, target string) *recollection {
	h := m.hash(scheme, host, target)
	place := &m.places[h&uint64(len(m.places)-1)]
	for i := range place {
		if r := place[i].Load(); r != nil && r.hash == h && r.is(scheme, host, target) {
			return r
		}
	}
	return nil
}

func (r *recollection) is(scheme, host, target string) bool {
	return r.target == target && r.host == host && r.scheme == scheme
}

// touch notes a use. What is used much is not written to each time.
func (r *recollection) touch() {
	if r.uses.Load() < maxUses {
		r.uses.Add(1)
	}
}

func (r *recollection) cost() int64 { return int64(recollectionCost + len(r.host) + len(r.target)) }

// remember takes note of a plain hit on what is stored under key. Host and target are those of the request as it came.
func (m *Memo) remember(scheme, host, target, canonicalHost string, res *Resource, key cachepolicy.Key) {
	if len(host)+len(target) > maxRemembered {
		return
	}
	h := m.hash(scheme, host, target)
	place := &m.places[h&uint64(len(m.places)-1)]
	r := &recollection{hash: h, scheme: scheme, host: host, target: target, canonicalHost: canonicalHost, res: res, key: key}
	for i := range place {
		old := place[i].Load()
		if old != nil && old.is(scheme, host, target) || m.put(&place[i], old, r) {
			return
		}
	}
}

// put puts r in the place of old, which may be nil, unless that was used lately or the memo is full.
func (m *Memo) put(at *atomic.Pointer[recollection], old, r *recollection) bool {
	cost := r.cost()
	if old != nil {
		if n := old.uses.Load(); n > 0 {
			old.uses.CompareAndSwap(n, n-1) // its turn comes, if nobody uses it meanwhile
			return false
		}
		cost -= old.cost()
	}
	if m.bytes.Load()+cost > m.most || !at.CompareAndSwap(old, r) {
		return false
	}
	m.bytes.Add(cost)
	return true
}

// recall is called for each hit that the slow path delivers whole and as it is.
func (d *delivery) recall(e *store.Entry) {
	x := d.x
	m := x.res.Memo
	if m == nil || d.reply.decision.Action != cachepolicy.Serve || d.reply.tier != "" || x.tier != tierMemory || !plainRequest(x) {
		return
	}
	if r := x.res.Rules; len(r.KeyHeaders)+len(r.KeyCookies) > 0 || r.Authorization == cachepolicy.AuthorizationKey {
		return // the key is not told by host and target alone
	}
	m.remember(x.q.Scheme, x.ev.RawHost, x.ev.RawTarget, x.q.Host, x.res, x.key)
}

// plainRequest reports whether a request came as a connection can answer it.
func plainRequest(x *exchange) bool {
	return x.r.ProtoMajor == 1 && x.r.ProtoMinor == 1 && (x.q.Method == http.MethodGet || x.q.Method == http.MethodHead) &&
		x.ev.RawTarget != "" && x.ev.RawTarget[0] == '/'
}
