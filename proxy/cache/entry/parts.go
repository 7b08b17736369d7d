package entry

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

// Combined returns e with the bytes of part added. The fields of the new response replace the
// stored fields (RFC 9111 §3.4).
func (p *Policy) Combined(e *store.Entry, body []byte, part cachepolicy.Span, v *cachepolicy.Verdict, tags []string) *store.Entry {
	h, coding, derivable := v.Header.Clone(), e.Representations[0].Coding, compress.Set(0)
	p.makeStorable(h, &v.Meta)
	segments, size := mergeParts(e, body, part)
	if v.Meta.Complete() {
		if derivable = p.Derivable(http.StatusOK, h, size, coding); derivable != 0 {
			compress.AddVary(h)
		}
	}
	d := newDraft(v.Meta.Status, h, tags, coding, derivable)
	return d.Entry(&v.Meta, store.Body{Segments: segments, Size: size})
}

// mergeParts lays the stored parts and the new part end to end in the order of their positions. If
// both have a byte, the new part's byte counts.
func mergeParts(e *store.Entry, body []byte, part cachepolicy.Span) (segments [][]byte, size int64) {
	type piece struct {
		span cachepolicy.Span
		data [][]byte
	}
	pieces := []piece{{part, [][]byte{body}}}
	for _, span := range e.Spans {
		for _, kept := range cachepolicy.MissingSpans(span, []cachepolicy.Span{part}) {
			at, _ := cachepolicy.SpanOffset(e.Spans, kept)
			pieces = append(pieces, piece{kept, e.Representations[0].Body.Slice(at.First, at.Len())})
		}
	}
	slices.SortFunc(pieces, func(a, b piece) int { return cmp.Compare(a.span.First, b.span.First) })
	for _, p := range pieces {
		segments = append(segments, p.data...)
		size += p.span.Len()
	}
	return segments, size
}
