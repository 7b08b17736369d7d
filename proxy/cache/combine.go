package cache

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

// combine joins a 206 with the parts that are stored (RFC 9111 §3.4) and answers all who wait from the union. The parts are bounded by what
// is stored at most, so the new one is read before the first byte goes out. It reports whether the whole is to be asked for instead, because
// the part has less than what was asked for.
func (c *Cache) combine(ctx context.Context, j *job, resp *http.Response, v *cachepolicy.Verdict, out cachepolicy.Outcome) (again bool) {
	defer discard(resp)
	part, _, ok := cachepolicy.ParseContentRange(resp.Header.Get("Content-Range"))
	if !ok || part.Len() > j.x.res.MaxObject || compress.HeaderCoding(resp.Header) != j.stored.Representations[0].Coding {
		return true
	}
	if !v.Meta.Complete() && cachepolicy.PlanRange(&j.x.q, &v.Meta).Kind == cachepolicy.Missing {
		return true
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, part.Len()+1))
	j.ev.BytesFromOrigin += int64(len(body))
	if err == nil && int64(len(body)) != part.Len() {
		err = fmt.Errorf("%d bytes came of a part of %d", len(body), part.Len())
	}
	if err != nil {
		c.failed(j, &failure{
			status: http.StatusBadGateway, proxyError: "http_response_incomplete", detail: failureDetail(http.StatusBadGateway),
			err: fmt.Errorf("reading a part of the origin's response: %w", err),
		})
		return false
	}
	e := combined(j.stored, body, part, v, j.to)
	if e.Representations[0].Body.Size <= j.x.res.MaxObject {
		c.keep(ctx, j.to, e)
		j.kept, out.Stored = e, true
	}
	c.landEntry(j, e, nil, out)
	return false
}

// combined is e with the bytes of part added. The fields of the new response take the place of the stored ones (RFC 9111 §3.4).
func combined(e *store.Entry, body []byte, part cachepolicy.Span, v *cachepolicy.Verdict, p place) *store.Entry {
	res, rep := p.res, &e.Representations[0]
	h := v.Header.Clone()
	res.Rules.StripUnstorable(h)
	tags := retagged(e, h, p)
	ensureDate(h, v.Meta.Received)
	segments, size := mergeParts(e, body, part)
	union := &store.Entry{Meta: v.Meta, Tags: tags}
	if v.Meta.Complete() {
		if union.Derivable = res.derivable(http.StatusOK, h, size, rep.Coding); union.Derivable != 0 {
			compress.AddVary(h)
		}
	}
	union.Representations = []store.Representation{{
		Coding: rep.Coding, Head: store.BuildHead(v.Meta.Status, h, dropFromStored), Body: store.Body{Segments: segments, Size: size},
	}}
	return union
}

// mergeParts lays the stored parts and the new one end to end in the order of their positions. Where both have a byte the new one counts.
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
