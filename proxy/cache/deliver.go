package cache

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

// delivery writes one Reply to one client.
type delivery struct {
	c     *Cache
	x     *exchange
	w     http.ResponseWriter
	reply *Reply

	values [valueCount]string // of fields that each delivery writes itself
}

// The places in values.
const (
	valueAge = iota
	valueLength
	valueStatus
	valueCount
)

// value is s as the value of a field, in its place.
func (d *delivery) value(place int, s string) []string {
	d.values[place] = s
	return d.values[place : place+1 : place+1]
}

// errGone is why a body was not delivered to a client that has gone.
var errGone = errors.New("the client has gone")

// deliver writes reply to w.
func (c *Cache) deliver(w http.ResponseWriter, x *exchange, reply *Reply) {
	x.delivery = delivery{c: c, x: x, w: w, reply: reply}
	d := &x.delivery
	x.note(reply)
	switch {
	case reply.failure != nil:
		d.failure(reply.failure)
	case reply.Entry != nil:
		d.entry(reply.Entry)
	case reply.landing != nil:
		d.along(reply.landing)
	case reply.response != nil:
		d.relay(reply.response)
	}
}

// entry answers from the store: conditions first, then ranges, then the whole (RFC 9110 §13.2.2, §14.2).
func (d *delivery) entry(e *store.Entry) {
	as := d.c.represent(d.x, e)
	if d.precondition(&e.Meta, &as.Representation) {
		if as.from == nil {
			d.recall(e)
		}
		return
	}
	if (len(d.x.r.Header["Range"]) > 0 || !e.Complete()) && d.ranges(e) {
		return
	}
	d.fields(&as.Representation)
	switch {
	case as.from != nil:
		d.decoded(e, as.from)
	default:
		d.recall(e)
		d.head(e.Status, as.Body.Size)
		if d.x.q.Method != http.MethodHead {
			d.body(as.Body.Segments)
			d.spared(e, &as.Representation)
		}
	}
}

// spared notes what was not sent because e's content, which the origin sent as it is, was coded here.
func (d *delivery) spared(e *store.Entry, rep *store.Representation) {
	if first := &e.Representations[0]; first.Coding == compress.Identity && rep.Coding != compress.Identity {
		d.x.ev.BytesSaved = first.Body.Size - rep.Body.Size
	}
}

// precondition answers with 304 or 412 where the request's conditions say so, and reports whether it did.
func (d *delivery) precondition(facts *cachepolicy.Meta, rep *store.Representation) bool {
	status := http.StatusNotModified
	switch cachepolicy.Evaluate(&d.x.q, facts) {
	case cachepolicy.Full:
		return false
	case cachepolicy.Failed:
		status = http.StatusPreconditionFailed
	}
	d.fields(rep)
	d.withoutContent(status)
	return true
}

// fields copies the stored field lines and adds what belongs to this answer: Age (RFC 9111 §5.1) and Cache-Status (RFC 9211).
func (d *delivery) fields(rep *store.Representation) {
	h := d.w.Header()
	addFields(h, rep)
	h["Age"] = d.value(valueAge, strconv.FormatInt(seconds(d.age()), 10))
	d.cacheStatus(h)
	d.x.ev.Coding = rep.Coding.String()
}

// head writes the status line and the header section of a response with size bytes of content.
func (d *delivery) head(status int, size int64) {
	if bodyAllowed(status) {
		d.w.Header()["Content-Length"] = d.value(valueLength, strconv.FormatInt(size, 10))
	}
	d.status(status)
}

// status writes the status line and the header section. A response without Content-Type stays without: what net/http would guess from the
// content is not for a gateway to say, and may make a page of what is none.
func (d *delivery) status(status int) {
	if h := d.w.Header(); len(h["Content-Type"]) == 0 {
		h["Content-Type"] = nil
	}
	d.x.closeUnread(d.w.Header())
	d.noteHead(status)
	d.w.WriteHeader(status)
}

// noteHead puts what the head of the answer says into the Event.
func (d *delivery) noteHead(status int) {
	ev, h := d.x.ev, d.w.Header()
	ev.Status = status
	if v := h["Content-Type"]; len(v) > 0 {
		ev.ContentType = v[0]
	}
	if v := h["Etag"]; len(v) > 0 {
		ev.ETag = v[0]
	}
}

// withoutContent writes a 304 or a 412: of the stored fields those that describe the content go (RFC 9110 §15.4.5).
func (d *delivery) withoutContent(status int) {
	h := d.w.Header()
	for name := range h {
		if describesContent(name) {
			delete(h, name)
		}
	}
	if status == http.StatusPreconditionFailed {
		h["Content-Length"] = []string{"0"}
	}
	d.status(status)
}

// describesContent reports the fields that belong to content and not to a response without any.
func describesContent(name string) bool {
	switch name {
	case "Content-Length", "Content-Type", "Content-Encoding", "Content-Language", "Content-Range", "Content-Md5", "Content-Digest", "Transfer-Encoding":
		return true
	}
	return false
}

// body writes the stored segments as they are.
func (d *delivery) body(segments [][]byte) {
	for _, s := range segments {
		if !d.write(s) {
			return
		}
	}
}

// decoded writes e's content decoded from rep, whose coding the client can't read. What it decodes to is bounded, and never held whole.
func (d *delivery) decoded(e *store.Entry, rep *store.Representation) {
	d.status(e.Status)
	if d.x.q.Method == http.MethodHead {
		return
	}
	r, err := compress.NewReader(&segmentReader{rest: rep.Body.Segments}, rep.Coding, d.x.res.decodeLimit())
	if err == nil {
		defer r.Close()
		err = d.pump(r, nil, false)
	}
	if err != nil {
		d.abort("decoding a stored response for a client that can't read it", err)
	}
}

// abort breaks the response off, so that it does not look complete, and ends the connection of a client that has gone. What was written is sent
// before: a client that got nothing at all could not tell a broken response from a broken connection.
func (d *delivery) abort(doing string, err error) {
	d.flush()
	d.x.ev.Err = err
	d.c.Log.Debug("a response is broken off", "route", d.x.res.Rules.Route, "doing", doing, "error", err)
	panic(http.ErrAbortHandler)
}

// write writes b. It reports false once the client has gone: then there is nothing left to do, for net/http closes its connection.
func (d *delivery) write(b []byte) bool {
	_, err := d.writeTo(b)
	return err == nil
}

// flush sends what was written. It reports false once the client has gone. A writer that can't flush holds nothing back for long.
func (d *delivery) flush() bool {
	err := http.NewResponseController(d.w).Flush()
	return err == nil || errors.Is(err, http.ErrNotSupported)
}

// along delivers a body that is still being filled.
func (d *delivery) along(l *landing) {
	src := d.reply.source
	if src == nil {
		src = l.open(d.x, d.reply.flight)
		d.reply.flight.Leave()
	}
	defer src.Close()
	if d.precondition(&l.facts, &src.Representation) {
		return
	}
	if err := src.begin(d.x.ctx); err != nil {
		d.failure(d.failed(err))
		return
	}
	d.fields(&src.Representation)
	if d.reply.source != nil { // it is this client's own request that l answers
		maps.Copy(d.w.Header(), l.own)
	}
	if l.part != nil {
		d.w.Header()["Content-Range"] = l.part
	}
	if src.size >= 0 {
		d.head(l.facts.Status, src.size)
	} else {
		d.status(l.facts.Status)
	}
	if !bodyAllowed(l.facts.Status) {
		return
	}
	if err := d.read(src); err != nil {
		d.abort("reading along", err)
	}
	if l.coding == compress.Identity && src.Coding != compress.Identity {
		d.x.ev.BytesSaved = l.total - d.x.ev.BytesOut
	}
	d.trailers(l)
}

// trailers sends the origin's trailer fields. A small body that was not sent yet would be given a Content-Length by net/http, and lose them.
func (d *delivery) trailers(l *landing) {
	if len(l.trailer) == 0 || !d.flush() {
		return
	}
	for name, values := range l.trailer {
		d.w.Header()[http.TrailerPrefix+name] = values
	}
}

// read writes the body as it comes, and flushes whenever the next bytes are not there yet. Where the size is known the last bytes are held
// back until the body is known to be whole, so that nobody has all of a response that then turns out to have failed.
func (d *delivery) read(src *source) error {
	var sent int64
	for {
		if !src.Ready() && !d.flush() {
			return errGone
		}
		b, err := src.Next(d.x.ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if sent += int64(len(b)); sent == src.size {
			return d.last(src, b)
		}
		if !d.write(b) {
			return errGone
		}
	}
}

// last writes the last bytes of a body, if it ends well.
func (d *delivery) last(src *source, b []byte) error {
	more, err := src.Next(d.x.ctx)
	switch {
	case err == io.EOF && !d.write(b):
		return errGone
	case err == io.EOF:
		return nil
	case err == nil:
		return fmt.Errorf("%d bytes more than announced", len(more))
	}
	return err
}

func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}
