package cache

import (
	"context"
	"encoding/binary"
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

// Question is a request of which a connection asks whether it can be answered at once: a GET or HEAD in origin-form, without a body and without
// Cache-Control, Pragma, Range, Authorization, Upgrade and conditions other than the two. It is valid until the answer is there, but that
// Method and Scheme may be kept.
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
// [cachepolicy.Rules.Decide] as that does, and writes the same fields in the same order. The head is appended to a.Head. It allocates nothing for what
// is remembered, but for what of the memo it learns; what is not is found by Locate, if that can tell where.
func (m *Memo) Answer(q *Question, a *Answer) bool {
	if known := m.find(q.Method, q.Scheme, q.Host, q.Target); known != nil {
		if !m.answer(&known.Place, known, q, a) {
			return false
		}
		known.touch()
		return true
	}
	if m.Locate == nil {
		return false
	}
	at, ok := m.Locate(q.Method, q.Scheme, q.Host, q.Target)
	if !ok || !m.answer(&at, nil, q, a) {
		return false
	}
	if m.cache.Random()*learnOne < 1 {
		m.remember(q.Method, q.Scheme, strings.Clone(q.Host), strings.Clone(q.Target), at)
	}
	return true
}

// learnOne is of how many hits that had to be located one is remembered: what is asked for often soon is, and what is not costs nothing.
const learnOne = 16

// answer answers q by what is stored at a place, of which known is what is remembered, nil for nothing.
func (m *Memo) answer(at *Place, known *recollection, q *Question, a *Answer) bool {
	object, err := m.cache.Store.Try(context.Background(), at.Key)
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
	e := m.cache.alive(at.Key, object.Variants[i])
	if e == nil || !e.Complete() {
		return false
	}
	chance := m.cache.Random()
	d := at.Resource.Rules.Decide(&ask.request, &e.Meta, q.Now, chance)
	if d.Action != cachepolicy.Serve {
		if d.Reason == cachepolicy.ReasonEarlyRefresh {
			a.Chance = chance
		}
		return false
	}
	rep := m.represent(at.Resource, e, q)
	if rep == nil {
		return false
	}
	s := ask.shapeOf(known, e, rep)
	if s == nil {
		return false
	}
	m.write(at, e, rep, s, d, q, ask, a)
	return true
}

// represent is the representation of e that q has a preference for; nil where it is yet to be made.
func (m *Memo) represent(res *Resource, e *store.Entry, q *Question) *store.Representation {
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
	rep, _ := res.held(e, accept)
	return rep
}

// write completes a with a representation of e, which has the shape s.
func (m *Memo) write(at *Place, e *store.Entry, rep *store.Representation, s *shape, d cachepolicy.Decision, q *Question, ask *asking, a *Answer) {
	m.cache.Store.Found(at.Key)
	m.cache.used(at.Key)
	m.cache.warm(at.Resource, at.Key, e, rep)
	a.Route, a.Host, a.Status, a.Age, a.TTL = at.Resource.Rules.Route, at.Host, e.Status, d.Age, d.TTL
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
	a.Key = binary.BigEndian.Uint64(at.Key.Hash[:8])
	if rep.Coding != compress.Identity {
		a.Coding = rep.Coding.String()
	}
}

// maxSelecting is how many fields may select a response that is answered from here.
const maxSelecting = 8

// asking is the request as cachepolicy sees it: of its header those fields that select one of the variants, and conditions.
type asking struct {
	request cachepolicy.Request
	header  http.Header
	values  [maxSelecting]string
	count   int
	shape   shape // of a response whose place is not remembered
}

func newAsking() any { return &asking{header: make(http.Header, maxSelecting)} }

func (m *Memo) release(ask *asking) {
	if ask.count > 0 {
		clear(ask.header)
		clear(ask.values[:])
		ask.count = 0
	}
	ask.shape = shape{}
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
