package cache

import (
	"net/http"

	"go.opentelemetry.io/otel/trace"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/flight"
	"github.com/penstock/penstock/proxy/store"
)

// landing is what a flight announces: a stored entry that answers all who wait, or a response whose body is read along as it grows.
type landing struct {
	entry    *store.Entry // nil: read along
	instead  *answer      // the failure in whose place entry is served; nil: none
	decision cachepolicy.Decision
	outcome  cachepolicy.Outcome
	fill     trace.SpanContext // the span of the fill

	// For reading along:
	facts  cachepolicy.Meta
	header http.Header // as it will be stored; nobody changes it
	own    http.Header // what is for the leader's client alone; nil: nothing
	part   []string    // Content-Range of a part; nil: the response is complete
	size   int64       // of the body, -1 where the origin did not say
	coding compress.Coding
	derive compress.Set
	head   string                           // wire form under coding
	coded  compress.Coding                  // the coding of spool
	spool  *flight.Flight[uint64, struct{}] // the same body under another coding, made as it comes; nil: none
	// trailer is set before the flight ends; read it after the body.
	trailer http.Header
	total   int64 // of the body as it came; set as trailer is
	tags    []string
	epoch   store.Epoch // at which its fill began
}

func (l *landing) meta() *cachepolicy.Meta {
	if l.entry != nil {
		return &l.entry.Meta
	}
	return &l.facts
}

// newLanding describes resp in the form in which it will be stored. It changes resp's header.
func newLanding(res *Resource, resp *http.Response, meta cachepolicy.Meta, tags []string) *landing {
	h := resp.Header
	l := &landing{
		facts: meta, header: h, own: res.Rules.Qualified(h), size: resp.ContentLength, coding: compress.HeaderCoding(h), tags: res.Tags.take(h, tags),
	}
	content := bodyAllowed(meta.Status)
	if !content {
		l.size = 0 // and there is nothing to be coded
	}
	res.Rules.StripUnstorable(h)
	ensureDate(h, meta.Received)
	if !meta.Complete() {
		// Which part is sent is for each delivery to say.
		l.part = h["Content-Range"]
		delete(h, "Content-Range")
	} else if content {
		l.derive = res.derivable(resp.StatusCode, h, resp.ContentLength, l.coding)
	}
	if l.derive != 0 || res.Compress != nil && l.coding != compress.Identity {
		compress.AddVary(h)
	}
	l.head = store.BuildHead(resp.StatusCode, h, dropFromStored)
	return l
}

// kept is what is stored of l once its body is whole. coded is the body under l.coded; nil: it was not made.
func (l *landing) kept(segments [][]byte, size int64, coded [][]byte) *store.Entry {
	meta := l.facts
	if meta.Complete() && meta.Total < 0 {
		meta.Total = size
	}
	e := &store.Entry{
		Meta: meta, Tags: l.tags, Derivable: l.derive,
		Representations: []store.Representation{{Coding: l.coding, Head: l.head, Body: store.Body{Segments: segments, Size: size}}},
	}
	if body := store.NewBody(coded...); coded != nil && body.Size < size {
		e.Representations = append(e.Representations, codedRepresentation(meta.Status, l.header, l.coded, body))
	}
	return e
}
