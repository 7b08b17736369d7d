package cache

import (
	"crypto/rand"
	"net/http"
	"strconv"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

// ranges answers with the parts asked for, from the representation that the origin sent: only its bytes have the positions that its
// validator stands for. It reports false when the whole is to be sent: also where the client can't read the coding of those bytes and can be
// given the whole in another, for the field may be ignored (RFC 9110 §14.2).
func (d *delivery) ranges(e *store.Entry) bool {
	rep := &e.Representations[0]
	if d.x.needsDecoding(e) {
		return false
	}
	plan := cachepolicy.PlanBody(&d.x.q, &e.Meta, rep.Body.Size)
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
		d.w.Header()["Content-Range"] = []string{contentRange(plan.Spans[0], totalOf(e, rep))}
		d.head(http.StatusPartialContent, plan.Offsets[0].Len())
		d.body(rep.Body.Slice(plan.Offsets[0].First, plan.Offsets[0].Len()))
		return true
	}
	d.multipart(e, rep, plan)
	return true
}

// needsDecoding reports whether x can't read the coding in which e came, and can be given it in none.
func (x *exchange) needsDecoding(e *store.Entry) bool {
	return e.Derivable.Has(compress.Identity) && !compress.Accepts(x.r.Header["Accept-Encoding"], e.Representations[0].Coding)
}

// totalOf is the length of the complete representation, -1 when it is not known.
func totalOf(e *store.Entry, rep *store.Representation) int64 {
	if e.Complete() {
		return rep.Body.Size
	}
	return e.Total
}

func contentRange(s cachepolicy.Span, total int64) string {
	return string(cachepolicy.AppendContentRange(nil, s, total))
}

// unsatisfiable answers with 416 and how long the representation is (RFC 9110 §15.5.17).
func (d *delivery) unsatisfiable(e *store.Entry, rep *store.Representation) {
	d.fields(rep)
	h := d.w.Header()
	for _, name := range [...]string{"Content-Type", "Content-Encoding", "Content-Language", "Etag", "Last-Modified"} {
		delete(h, name)
	}
	h["Content-Range"] = []string{contentRange(cachepolicy.Span{First: 0, Last: -1}, totalOf(e, rep))}
	d.head(http.StatusRequestedRangeNotSatisfiable, 0)
}

// multipart answers with several parts (RFC 9110 §14.6).
func (d *delivery) multipart(e *store.Entry, rep *store.Representation, plan cachepolicy.RangePlan) {
	h := d.w.Header()
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
	d.status(http.StatusPartialContent)
	for i, at := range plan.Offsets {
		if !d.write([]byte(heads[i])) {
			return
		}
		d.body(rep.Body.Slice(at.First, at.Len()))
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

// setRange asks for the bytes that are missing of stored, if it is still the same representation (RFC 9110 §13.1.5).
func setRange(h http.Header, ask cachepolicy.Span, stored *cachepolicy.Meta) {
	value := "bytes=" + strconv.FormatInt(ask.First, 10) + "-"
	if ask.Last >= 0 {
		value += strconv.FormatInt(ask.Last, 10)
	}
	h["Range"] = []string{value}
	if tag := cachepolicy.IfRange(stored); tag != "" {
		h["If-Range"] = []string{tag}
	}
}
