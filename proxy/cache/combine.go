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
	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/store"
)

// combine joins a 206 with the stored parts (RFC 9111 §3.4) and answers all waiting requests from
// the union. The stored object limit also bounds the parts, so combine reads the new part
// completely before the gateway sends a byte. It returns true if the fill must ask for the whole
// response instead: the part has no usable Content-Range, is too large, has another coding, or does
// not complete the requested bytes.
func (c *Cache) combine(ctx context.Context, j *job, resp *http.Response, v *cachepolicy.Verdict, out cachepolicy.CacheStatus) (again bool) {
	defer deliver.Discard(resp)
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
		c.failed(j, &deliver.Failure{
			Status: http.StatusBadGateway, ProxyError: "http_response_incomplete", Detail: deliver.FailureDetail(http.StatusBadGateway),
			Err: fmt.Errorf("reading a part of the origin's response: %w", err),
		})
		return false
	}
	e := combined(j.stored, body, part, v, j.to)
	if e.Representations[0].Body.Size <= j.x.res.MaxObject {
		j.kept, out.Stored = e, c.keep(ctx, j.to, e) || c.shares(j.x.res)
	}
	c.landEntry(j, e, nil, out)
	return false
}

// combined returns e with the bytes of part added. The fields of the new response replace the
// stored fields (RFC 9111 §3.4).
func combined(e *store.Entry, body []byte, part cachepolicy.Span, v *cachepolicy.Verdict, p place) *store.Entry {
	res, rep := p.res, &e.Representations[0]
	h := v.Header.Clone()
	res.Rules.StripUnstorable(h)
	tags := retagged(e, p)
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
