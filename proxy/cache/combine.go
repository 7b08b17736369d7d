package cache

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
)

// combine joins a 206 with the parts that are stored (RFC 9111 §3.4) and answers all who wait from the union. The parts are bounded by what
// is stored at most, so the new one is read before the first byte goes out.
func (c *Cache) combine(ctx context.Context, j *job, resp *http.Response, v *cachepolicy.Verdict, out cachepolicy.Outcome) {
	defer resp.Body.Close()
	part, _, ok := cachepolicy.ParseContentRange(resp.Header.Get("Content-Range"))
	if !ok || part.Len() > j.x.res.MaxObject {
		c.failed(j, &failure{status: http.StatusBadGateway, proxyError: "http_protocol_error", detail: "the origin's part is invalid or too large"})
		return
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, part.Len()+1))
	if err == nil && int64(len(body)) != part.Len() {
		err = fmt.Errorf("%d bytes came of a part of %d", len(body), part.Len())
	}
	if err != nil {
		c.failed(j, &failure{status: http.StatusBadGateway, proxyError: "http_response_incomplete", detail: "reading a part of the origin's response: " + err.Error()})
		return
	}
	e := combined(j.stored, resp.Header, body, part, v, j.x.res)
	if e.Representations[0].Body.Size <= j.x.res.MaxObject {
		c.keep(ctx, j, e)
		out.Stored = true
	}
	c.landEntry(j, e, out)
}

// combined is e with the bytes of part added. The fields of the new response take the place of the stored ones (RFC 9111 §3.4).
func combined(e *store.Entry, update http.Header, body []byte, part cachepolicy.Span, v *cachepolicy.Verdict, res *Resource) *store.Entry {
	rep := &e.Representations[0]
	h := cachepolicy.FreshenHeader(rep.Header(), update)
	res.Rules.StripUnstorable(h)
	ensureDate(h, v.Meta.Received)
	if v.Meta.Complete() {
		delete(h, "Content-Range")
	}
	segments, size := mergeParts(e, body, part)
	status := http.StatusPartialContent
	if v.Meta.Complete() {
		status = http.StatusOK
	}
	return &store.Entry{
		Meta: v.Meta, Tags: e.Tags,
		Representations: []store.Representation{{
			Coding: rep.Coding, Head: store.BuildHead(status, h, dropFromHead), Body: store.Body{Segments: segments, Size: size},
		}},
	}
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
	slices.SortFunc(pieces, func(a, b piece) int { return int(min(1, max(-1, a.span.First-b.span.First))) })
	for _, p := range pieces {
		segments = append(segments, p.data...)
		size += p.span.Len()
	}
	return segments, size
}
