package fill

import (
	"net/http"

	"go.opentelemetry.io/otel/trace"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/flight"
	"github.com/penstock/penstock/proxy/store"
)

// Inflight is the result that a flight announces: a stored entry that answers all waiting requests,
// or a response whose body they read while it arrives.
type Inflight struct {
	Entry    *store.Entry // nil: the body is read while it arrives
	Instead  *Answer      // the failure that entry is served in place of; may be nil
	Decision cachepolicy.Decision
	Status   cachepolicy.CacheStatus
	Fill     trace.SpanContext // the span of the fill

	// These fields are for a body that is read while it arrives:
	deliver.Stream
	Draft entry.Draft                      // the response as it will be stored
	size  int64                            // of the body; -1: the origin did not say
	coded compress.Coding                  // the coding of spool
	spool *flight.Flight[uint64, struct{}] // the same body under another coding, made as it arrives; may be nil
	Epoch store.Epoch                      // when its fill began
}

// Meta returns the facts about the response.
func (l *Inflight) Meta() *cachepolicy.Meta {
	if l.Entry != nil {
		return &l.Entry.Meta
	}
	return &l.Facts
}

// newInflight describes resp in the form in which it will be stored. It changes resp's header. tags
// are all tags of the response.
func newInflight(p *entry.Policy, resp *http.Response, meta *cachepolicy.Meta, tags []string) *Inflight {
	own := p.Rules.Qualified(resp.Header)
	d, part := p.Draft(resp.StatusCode, resp.Header, resp.ContentLength, meta, tags)
	l := &Inflight{Stream: deliver.Stream{Facts: *meta, Own: own, Part: part, Coding: d.Coding}, Draft: d, size: resp.ContentLength}
	if !entry.BodyAllowed(meta.Status) {
		l.size = 0
	}
	return l
}

// kept returns the entry to store for l after its body has arrived whole. coded is the body under
// l.coded; nil: it was not made.
func (l *Inflight) kept(segments [][]byte, size int64, coded [][]byte) *store.Entry {
	e := l.Draft.Entry(&l.Facts, store.Body{Segments: segments, Size: size})
	if body := store.NewBody(coded...); coded != nil && body.Size < size {
		e.Representations = append(e.Representations, l.Draft.Coded(l.coded, body))
	}
	return e
}

// Open returns the body in a form that x's client can read: as the origin sent it, or as it is
// being coded. If the client accepts neither, it gets the body decoded.
func (l *Inflight) Open(x *Request, f *Flight) *deliver.Source {
	accept := x.HTTP.Header["Accept-Encoding"]
	if l.spool != nil {
		have := compress.SetOf(l.Coding, l.coded)
		if coding, ok := compress.Negotiate(accept, have, x.Route.Compress.Encodings); ok && coding == l.coded {
			return deliver.NewSource(l.spool.Reader(x.Ctx), l.Draft.Coded(coding, store.Body{}), -1)
		}
	}
	plain := f.Reader(x.Ctx)
	if l.Draft.Derivable.Has(compress.Identity) && !compress.Accepts(accept, l.Coding) {
		form := l.Draft.Coded(compress.Identity, store.Body{})
		decoded, err := deliver.NewDecodedReader(plain, l.Coding, x.Route.Codings().DecodeLimit())
		if err != nil {
			return deliver.NewSource(&deliver.BrokenReader{Closer: plain, Err: err}, form, -1)
		}
		return deliver.NewSource(decoded, form, -1)
	}
	return deliver.NewSource(plain, store.Representation{Coding: l.Coding, Head: l.Draft.Head}, l.size)
}
