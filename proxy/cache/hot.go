package cache

import (
	"context"
	"encoding/binary"
	"net/http"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

// Question is a request of which a connection asks whether it can be answered at once: a GET or HEAD in origin-form, without a body and without
// Cache-Control, Pragma, Range, Authorization, Upgrade and conditions other than the two. It is valid until the answer is there.
type Question struct {
	Method, Scheme string
	Host, Target   string // exactly as they came
	Fields         Fields
	Conditional    bool // it has If-None-Match or If-Modified-Since
	Now            time.Time
}

// Fields are the field lines of a request.
type Fields interface {
	// Line is the value of the only line of that name, which is in canonical form, and how many lines there are.
	Line(name string) (value string, lines int)
}

// Answer is what answers a Question.
type Answer struct {
	Head     []byte   // with the empty line
	Body     [][]byte // nil for HEAD
	Route    string
	Host     string // canonical
	Status   int
	Age, TTL time.Duration
	Key      uint64 // the beginning of the key's hash
	// ContentType and ETag are of the representation.
	ContentType, ETag string
	Coding            string // "" for identity
	// Chance is set where nothing is answered because a refresh is due by this draw: what answers then is to go by it too.
	Chance float64
}

// Answer answers q from memory if the slow path would do so with a fresh response as it is: it asks the store, the history of purges and
// [cachepolicy.Rules.Decide] as that does, and writes the same fields in the same order. The head is appended to a.Head. It allocates nothing but for
// what of the memo it learns.
func (m *Memo) Answer(q *Question, a *Answer) bool {
	known := m.find(q.Scheme, q.Host, q.Target)
	if known == nil {
		return false
	}
	object, err := m.cache.Store.Get(context.Background(), known.key)
	if err != nil {
		return false
	}
	ask := m.asks.Get().(*asking)
	defer m.release(ask)
	ask.request.Method = q.Method
	if !ask.learn(m.cache, object.Variants, q) {
		return false
	}
	i := cachepolicy.Select(&ask.request, object.Variants)
	if i < 0 {
		return false
	}
	e := m.cache.alive(known.key, object.Variants[i])
	if e == nil || !e.Complete() {
		return false
	}
	chance := m.cache.Random()
	d := known.res.Rules.Decide(&ask.request, &e.Meta, q.Now, chance)
	if d.Action != cachepolicy.Serve {
		if d.Reason == cachepolicy.ReasonEarlyRefresh {
			a.Chance = chance
		}
		return false
	}
	return m.write(known, e, d, q, ask, a)
}

// write completes a with e.
func (m *Memo) write(known *recollection, e *store.Entry, d cachepolicy.Decision, q *Question, ask *asking, a *Answer) bool {
	accept := compress.IdentityOnly
	if e.Derivable != 0 {
		value, lines := q.Fields.Line("Accept-Encoding")
		if lines > 1 {
			return false
		}
		if lines == 1 {
			accept = m.accepts.fold(value)
		}
	}
	rep, _ := known.res.held(e, accept)
	if rep == nil {
		return false
	}
	s := known.shape(e, rep)
	if s == nil {
		return false
	}
	m.cache.used(known.key)
	m.cache.warm(known.res, known.key, e, rep)
	a.Route, a.Host, a.Status, a.Age, a.TTL = known.res.Rules.Route, known.canonicalHost, e.Status, d.Age, d.TTL
	if q.Conditional && cachepolicy.Evaluate(&ask.request, &e.Meta) == cachepolicy.NotModified {
		a.Status = http.StatusNotModified
		a.Head = s.appendNotModified(a.Head, rep, m.cache.Name, d)
	} else {
		a.Head = s.append(a.Head, rep, m.cache.Name, d)
		if q.Method != http.MethodHead {
			a.Body = rep.Body.Segments
		}
	}
	a.ContentType, a.ETag = s.contentType, s.etag
	a.Key = binary.BigEndian.Uint64(known.key.Hash[:8])
	if rep.Coding != compress.Identity {
		a.Coding = rep.Coding.String()
	}
	known.touch()
	return true
}

// maxSelecting is how many fields may select a response that is answered from here.
const maxSelecting = 8

// asking is the request as cachepolicy sees it: of its header those fields that select one of the variants, and conditions.
type asking struct {
	request cachepolicy.Request
	header  http.Header
	values  [maxSelecting]string
	count   int
}

func newAsking() any { return &asking{header: make(http.Header, maxSelecting)} }

func (m *Memo) release(ask *asking) {
	if ask.count > 0 {
		clear(ask.header)
		clear(ask.values[:])
		ask.count = 0
	}
	m.asks.Put(ask)
}

// learn takes from the request what variants are selected by. It reports false where that can't be told from the lines as they came.
func (ask *asking) learn(c *Cache, variants []*store.Entry, q *Question) bool {
	ask.request.Header = nil
	if q.Conditional {
		ask.request.Header = ask.header
		if !ask.add(c, "If-None-Match", q.Fields) || !ask.add(c, "If-Modified-Since", q.Fields) {
			return false
		}
	}
	for _, e := range variants {
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
	if ask.count == maxSelecting || c.Rewritten != nil && c.Rewritten(name) {
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
