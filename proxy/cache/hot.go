package cache

import (
	"context"
	"encoding/binary"
	"net/http"
	"net/netip"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/cache/tiers"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/store"
)

// Question is a request that a connection may be able to answer at once: a GET or HEAD in
// origin-form, without a body. It has no Cache-Control, Pragma, Range, Authorization or Upgrade,
// and no conditions except If-None-Match and If-Modified-Since. It is valid until the answer is
// there. Only Method and Scheme may be kept longer.
type Question struct {
	Method, Scheme string
	Host, Target   string // exactly as received
	Fields         Fields
	Conditional    bool // true if it has one of these two conditions
	Client         netip.Addr
	Now            time.Time
}

// Fields are the field lines of a request.
type Fields interface {
	// Line returns the number of lines with the given name, which is in canonical form, and the
	// line's value if there is exactly one.
	Line(name string) (value string, lines int)
	// Any reports whether is returns true for the name of any line. The names are in the case in
	// which they were sent.
	Any(is func(name string) bool) bool
}

// Answer is the response to a Question.
type Answer struct {
	Head     []byte   // including the empty line
	Body     [][]byte // nil for HEAD
	Route    string
	Host     string // canonical
	Status   int
	Age, TTL time.Duration
	Key      uint64 // the first 8 bytes of the key's hash
	// ContentType and ETag are fields of the representation.
	ContentType, ETag string
	Coding            string // "" for identity
	Hidden            string // as in Resource
	// Chance is the random draw that called for an early refresh, in which case nothing was
	// answered here. The handler must reuse it: drawing again would make refreshes too rare.
	Chance float64
	// Located is set if the request was not answered here but its place is known.
	Located *edge.Located
}

// Answer answers q from memory, if the handler would answer it with a fresh stored response as it
// is, and reports whether it did. It asks the store, the history of purges and
// [cachepolicy.Rules.Decide] as the handler does, and writes the same fields in the same order. It
// appends the head to a.Head. Answer allocates nothing for a hit. It answers only requests that the
// index remembers. If it cannot answer one of them, it sets a.Located.
func (m *HitIndex) Answer(q *Question, a *Answer) bool {
	known := m.find(q.Method, q.Scheme, q.Host, q.Target)
	if known == nil {
		return false
	}
	if !m.answer(&known.Place, known, q, a) {
		a.Located = known.located(q.Client)
		return false
	}
	known.touch()
	return true
}

// AnswerAt is Answer for a request that the index does not remember and the caller has located.
func (m *HitIndex) AnswerAt(at *Place, q *Question, a *Answer) bool { return m.answer(at, nil, q, a) }

// Learns reports whether the index should remember a hit that had to be located. It is true for one
// hit in learnOne: a frequent request is soon remembered, and a rare one costs nothing.
func (m *HitIndex) Learns() bool { return m.cache.random()*learnOne < 1 }

const learnOne = 16

// answer answers q from the response stored at a place. known is the remembered hit of q, or nil if
// the index does not remember q.
func (m *HitIndex) answer(place *Place, known *rememberedHit, q *Question, a *Answer) bool {
	if place.Resource.OnHold(place.Key) {
		return false
	}
	object, err := m.cache.tiers.Store.Peek(context.Background(), place.Key)
	if err != nil {
		return false
	}
	ask := m.asks.Get().(*asking)
	defer m.release(ask)
	ask.request.Method = q.Method
	if !ask.learn(m.cache, place.Resource.Rules, object.Variants, q) {
		return false
	}
	at := tiers.Moment{Now: q.Now, Chance: m.cache.random()}
	f := m.cache.tiers.Examine(tiers.Query{Policy: &place.Resource.Policy, Key: place.Key, Request: &ask.request}, object, at)
	e, d := f.Entry, f.Decision
	if e == nil || !e.Complete() || !f.Current {
		return false
	}
	if d.Action != cachepolicy.Serve {
		if d.Reason == cachepolicy.ReasonEarlyRefresh {
			a.Chance = at.Chance
		}
		return false
	}
	rep := m.represent(place.Resource, e, q)
	if rep == nil {
		return false
	}
	s := ask.shapeOf(known, e, rep)
	if s == nil || q.Conditional && !ask.tellsTag(&e.Meta, s.etag) {
		return false
	}
	if may := place.Resource.MayHit; may != nil {
		if ask.located = place.Located(q); !may(&ask.located) {
			return false
		}
	}
	if f.Stored.Vary != "" {
		f.Stored.Pick(q.Now)
	}
	m.write(place, e, rep, s, d, q, ask, a)
	return true
}

// tellsTag reports whether this representation's tag is enough to answer the client's condition. It
// is false if the client has another form of the response: then the handler finds the tag for the
// 304.
func (ask *asking) tellsTag(m *cachepolicy.Meta, tag string) bool {
	lines := ask.header["If-None-Match"]
	return len(lines) == 0 || cachepolicy.ListsTag(lines, tag) || cachepolicy.Evaluate(&ask.request, m) != cachepolicy.NotModified
}

// represent returns the representation of e that q prefers, or nil if it has not been made yet. It
// also returns nil if q has several Accept-Encoding lines.
func (m *HitIndex) represent(res *Resource, e *store.Entry, q *Question) *store.Representation {
	accept := compress.IdentityOnly
	if e.Derivable != 0 {
		value, lines := q.Fields.Line("Accept-Encoding")
		if lines > 1 {
			return nil
		}
		if lines == 1 {
			accept = m.accepts.fold(value)
		}
	}
	rep, _ := res.Choose(e, accept)
	return rep
}

// write completes a with a representation of e. s is the shape of that representation.
func (m *HitIndex) write(at *Place, e *store.Entry, rep *store.Representation, s *shape, d cachepolicy.Decision, q *Question, ask *asking, a *Answer) {
	m.cache.tiers.Store.CountHit(at.Key)
	m.cache.used(at.Key)
	m.cache.warm(at.Resource, at.Key, e, rep)
	grant := at.Resource.CORS.Grant(q.Fields)
	a.Route, a.Host, a.Status, a.Age, a.TTL = at.Resource.Rules.Route, at.Host, e.Status, d.Age, d.TTL
	if q.Conditional && cachepolicy.Evaluate(&ask.request, &e.Meta) == cachepolicy.NotModified {
		a.Status = http.StatusNotModified
		a.Head = s.appendNotModified(a.Head, rep, m.cache.name, d, &grant)
	} else {
		a.Head = s.append(a.Head, rep, m.cache.name, d, &grant)
		if q.Method != http.MethodHead {
			a.Body = rep.Body.Segments
		}
	}
	a.ContentType, a.ETag, a.Hidden = s.contentType, s.etag, at.Resource.Hidden
	a.Key = binary.BigEndian.Uint64(at.Key.Hash[:8])
	if rep.Coding != compress.Identity {
		a.Coding = rep.Coding.String()
	}
}

// maxSelecting is the maximum number of request fields that may select a response here.
const maxSelecting = 8

// asking is the request in the form that cachepolicy takes. Its header holds only the conditions
// and the fields that select a variant.
type asking struct {
	request cachepolicy.Request
	header  http.Header
	values  [maxSelecting]string
	count   int
	shape   shape // of a response whose place is not remembered
	located edge.Located
}

func newAsking() any { return &asking{header: make(http.Header, maxSelecting)} }

func (m *HitIndex) release(ask *asking) {
	if ask.count > 0 {
		clear(ask.header)
		clear(ask.values[:])
		ask.count = 0
	}
	ask.shape, ask.located = shape{}, edge.Located{}
	m.asks.Put(ask)
}

// learn copies from the request the fields that select a variant. It returns false if the received
// lines do not determine them.
func (ask *asking) learn(c *Cache, rules *cachepolicy.Rules, variants []*store.Entry, q *Question) bool {
	ask.request.Header = nil
	if q.Conditional {
		ask.request.Header = ask.header
		if !ask.add(c, "If-None-Match", q.Fields) || !ask.add(c, "If-Modified-Since", q.Fields) {
			return false
		}
	}
	for _, e := range variants {
		if rules.HearsIdentity(&e.Meta) && q.Fields.Any(cachepolicy.IdentifiesUser) {
			return false // rare: the handler knows which of these fields count
		}
		if rules.HearsCookies(&e.Meta) {
			ask.request.Header = ask.header
			if !ask.add(c, "Cookie", q.Fields) {
				return false
			}
		}
		if e.Vary == "" {
			continue
		}
		ask.request.Header = ask.header
		for name := range e.Vary.Names() {
			if !ask.add(c, name, q.Fields) {
				return false
			}
		}
	}
	return true
}

func (ask *asking) add(c *Cache, name string, fields Fields) bool {
	if _, ok := ask.header[name]; ok {
		return true
	}
	if ask.count == maxSelecting || c.rewritten != nil && c.rewritten(name) {
		return false
	}
	value, lines := fields.Line(name)
	switch {
	case lines > 1:
		return false
	case lines == 1:
		ask.values[ask.count] = value
		ask.header[name] = ask.values[ask.count : ask.count+1 : ask.count+1]
		ask.count++
	}
	return true
}
