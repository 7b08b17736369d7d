package deliver

import (
	"crypto/rand"
	"net/http"
	"strconv"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

// ranges answers with the requested parts. It takes them from the representation that the origin
// sent, because only that one's bytes have the positions that its validator vouches for. It returns
// false if the client must get the whole. That includes a client that can't read the coding of
// those bytes but can get the whole in another coding, because a server may ignore Range (RFC 9110
// §14.2).
func (d *Delivery) ranges(e *store.Entry) bool {
	rep := &e.Representations[0]
	if NeedsDecoding(e, d.Request.Header["Accept-Encoding"]) {
		return false
	}
	plan := cachepolicy.PlanBody(d.View, &e.Meta, rep.Body.Size)
	switch plan.Kind {
	case cachepolicy.Unsatisfiable:
		d.unsatisfiable(e, rep)
		return true
	case cachepolicy.Partial:
	default:
		return false
	}
	d.fields(rep)
	if len(plan.Spans) == 1 {
		d.Writer.Header()["Content-Range"] = []string{contentRange(plan.Spans[0], totalOf(e, rep))}
		d.head(http.StatusPartialContent, plan.Offsets[0].Len())
		d.segments(rep.Body.Slice(plan.Offsets[0].First, plan.Offsets[0].Len()))
		return true
	}
	d.multipart(e, rep, plan)
	return true
}

// NeedsDecoding reports whether a client that sends the given Accept-Encoding can't read the
// origin's coding of e, and the cache can decode e for it.
func NeedsDecoding(e *store.Entry, accept []string) bool {
	return e.Derivable.Has(compress.Identity) && !compress.Accepts(accept, e.Representations[0].Coding)
}

// totalOf returns the length of the complete representation, or -1 if it is not known.
func totalOf(e *store.Entry, rep *store.Representation) int64 {
	if e.Complete() {
		return rep.Body.Size
	}
	return e.Total
}

func contentRange(s cachepolicy.Span, total int64) string {
	return string(cachepolicy.AppendContentRange(nil, s, total))
}

// unsatisfiable answers with 416 and the length of the representation (RFC 9110 §15.5.17).
func (d *Delivery) unsatisfiable(e *store.Entry, rep *store.Representation) {
	d.fields(rep)
	h := d.Writer.Header()
	for _, name := range [...]string{"Content-Type", "Content-Encoding", "Content-Language", "Etag", "Last-Modified"} {
		delete(h, name)
	}
	h["Content-Range"] = []string{contentRange(cachepolicy.Span{First: 0, Last: -1}, totalOf(e, rep))}
	d.head(http.StatusRequestedRangeNotSatisfiable, 0)
}

// multipart answers with several parts (RFC 9110 §14.6).
func (d *Delivery) multipart(e *store.Entry, rep *store.Representation, plan cachepolicy.RangePlan) {
	h := d.Writer.Header()
	delete(h, "Content-Range") // each part has its own (RFC 9110 §15.3.7.2)
	boundary := rand.Text()
	heads := make([]string, len(plan.Spans))
	size := int64(0)
	for i, span := range plan.Spans {
		heads[i] = partHead(boundary, h.Get("Content-Type"), contentRange(span, totalOf(e, rep)), i == 0)
		size += int64(len(heads[i])) + span.Len()
	}
	end := "\r\n--" + boundary + "--\r\n"
	h["Content-Type"] = []string{"multipart/byteranges; boundary=" + boundary}
	h["Content-Length"] = []string{strconv.FormatInt(size+int64(len(end)), 10)}
	d.statusLine(http.StatusPartialContent)
	for i, at := range plan.Offsets {
		if !d.write([]byte(heads[i])) {
			return
		}
		d.segments(rep.Body.Slice(at.First, at.Len()))
	}
	d.write([]byte(end))
}

func partHead(boundary, contentType, contentRange string, first bool) string {
	head := "\r\n--" + boundary + "\r\n"
	if first {
		head = head[2:]
	}
	if contentType != "" {
		head += "Content-Type: " + contentType + "\r\n"
	}
	return head + "Content-Range: " + contentRange + "\r\n\r\n"
}
