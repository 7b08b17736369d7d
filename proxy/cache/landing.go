package cache

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/flight"
	"github.com/penstock/penstock/proxy/store"
)

// landing is what a flight announces: a stored entry that answers all who wait, or a response whose body is read along as it grows.
type landing struct {
	entry    *store.Entry // nil: read along
	decision cachepolicy.Decision
	outcome  cachepolicy.Outcome

	// For reading along:
	facts  cachepolicy.Meta
	header http.Header // as it will be stored; nobody changes it
	size   int64       // of the body, -1 where the origin did not say
	coding compress.Coding
	derive compress.Set
	head   string                           // wire form under coding
	coded  compress.Coding                  // the coding of spool
	spool  *flight.Flight[uint64, struct{}] // the same body under another coding, made as it comes; nil: none
	// trailer is set before the flight ends; read it after the body.
	trailer http.Header
	tags    []string
}

func (l *landing) meta() *cachepolicy.Meta {
	if l.entry != nil {
		return &l.entry.Meta
	}
	return &l.facts
}

// newLanding describes resp in the form in which it will be stored.
func (c *Cache) newLanding(j *job, resp *http.Response, v *cachepolicy.Verdict) *landing {
	res := j.x.res
	h := resp.Header
	tags := res.Tags.take(h, j.x.r)
	res.Rules.StripUnstorable(h)
	ensureDate(h, v.Meta.Received)
	coding := compress.CodingOf(h.Get("Content-Encoding"))
	l := &landing{
		facts: v.Meta, size: resp.ContentLength, coding: coding, tags: tags,
		derive: derivableOf(res, resp.StatusCode, h, resp.ContentLength, coding),
	}
	if !v.Meta.Complete() {
		l.derive = 0
	}
	if l.derive != 0 || res.Compress != nil && coding != compress.Identity {
		compress.AddVary(h)
	}
	l.header = h
	l.head = store.BuildHead(resp.StatusCode, h, dropFromHead)
	return l
}

// ensureDate gives a response without a Date the time it was received (RFC 9110 §6.6.1).
func ensureDate(h http.Header, received time.Time) {
	if len(h["Date"]) == 0 {
		h["Date"] = []string{received.UTC().Format(http.TimeFormat)}
	}
}

// dropFromHead are the fields that a delivery writes itself.
func dropFromHead(name string) bool {
	return name == "Age" || name == "Content-Length" || name == "Connection" || name == "Trailer"
}

// entryOf is what is stored of l once its body is whole. coded is the body under l.coded, if it was made.
func (c *Cache) entryOf(l *landing, segments [][]byte, size int64, coded []byte, v *cachepolicy.Verdict) *store.Entry {
	meta := l.facts
	if meta.Complete() && meta.Total < 0 {
		meta.Total = size
	}
	reps := []store.Representation{{Coding: l.coding, Head: l.head, Body: store.Body{Segments: compact(segments), Size: size}}}
	if coded != nil && int64(len(coded)) < size {
		reps = append(reps, codedRepresentation(meta.Status, l.header, l.coded, coded, false))
	}
	return &store.Entry{Meta: meta, Representations: reps, Tags: l.tags, Derivable: l.derive}
}

// codedRepresentation is body under coding, with the header fields that go with it.
func codedRepresentation(status int, header http.Header, coding compress.Coding, body []byte, best bool) store.Representation {
	return store.Representation{
		Coding: coding, Best: best, Head: store.BuildHead(status, codedHeader(header, coding), dropFromHead),
		Body: store.Body{Segments: [][]byte{body}, Size: int64(len(body))},
	}
}

// codedHeader is header for the same response under another coding. The strong validator of one is not that of the other, so it is
// weakened (RFC 9110 §8.8.1); digests of the content go.
func codedHeader(header http.Header, coding compress.Coding) http.Header {
	h := maps.Clone(header)
	if coding == compress.Identity {
		delete(h, "Content-Encoding")
	} else {
		h["Content-Encoding"] = []string{coding.String()}
	}
	if tag := header.Get("ETag"); tag != "" {
		h["Etag"] = []string{compress.WeakenETag(tag)}
	}
	for _, name := range [...]string{"Content-Md5", "Content-Digest", "Digest", "Accept-Ranges"} {
		delete(h, name)
	}
	return h
}

// compact gives small bodies segments of just their size: a flight's segments have room to grow.
func compact(segments [][]byte) [][]byte {
	for i, s := range segments {
		if cap(s)-len(s) > cap(s)/8 {
			segments[i] = slices.Clip(slices.Clone(s))
		}
	}
	return segments
}

// freshened is e as a 304 with the header update leaves it (RFC 9111 §3.2): another life, the same body.
func freshened(e *store.Entry, update http.Header, v *cachepolicy.Verdict, res *Resource) *store.Entry {
	h := cachepolicy.FreshenHeader(e.Representations[0].Header(), update)
	res.Rules.StripUnstorable(h)
	ensureDate(h, v.Meta.Received)
	fresh := &store.Entry{Meta: v.Meta, Tags: e.Tags, Derivable: e.Derivable, Representations: make([]store.Representation, len(e.Representations))}
	fresh.Uses.Store(e.Uses.Load())
	for i, rep := range e.Representations {
		head := h
		if i > 0 {
			head = codedHeader(h, rep.Coding)
		}
		rep.Head = store.BuildHead(e.Status, head, dropFromHead)
		fresh.Representations[i] = rep
	}
	return fresh
}
