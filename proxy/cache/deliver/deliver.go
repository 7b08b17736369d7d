package deliver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// Server holds the settings that all deliveries share.
type Server struct {
	Name       string           // of the cache in Cache-Status (RFC 9211 §2)
	Now        func() time.Time // the clock
	Log        *slog.Logger
	WriteError func(w http.ResponseWriter, r *http.Request, status int, kind, detail string)
	Tunnels    Tunnels
}

// Client is the client of a delivery, with its request and the Event of the request.
type Client struct {
	Ctx     context.Context // ends when the client leaves
	Request *http.Request
	View    *cachepolicy.Request
	Writer  http.ResponseWriter
	Event   *observe.Event
	Body    *ClientBody    // the request's body on its way to the origin; nil if the request has no body
	Codings entry.Codings  // of the route
	Tags    entry.TagField // of the route
}

// Provenance tells where a response comes from.
type Provenance struct {
	Decision cachepolicy.Decision
	Status   cachepolicy.CacheStatus
	Personal http.Header // of a 304 that confirmed a stored response: the fields that are meant for this client alone
	// Unconditional is true if the call to the origin left out the client's own conditions, so that
	// the Delivery must evaluate them.
	Unconditional bool
	// Own is true if the response is to the client's own call, so that it includes the fields that
	// are meant for this client alone.
	Own bool
}

// Delivery writes one response to one client.
type Delivery struct {
	Server *Server
	Client
	Provenance

	growing  *Stream   // set if the client reads the body while it grows; nil for a stored body or one for this client alone
	received time.Time // of a stored response
	counted  countedBody
	values   [valueCount]string // of fields that each delivery writes itself
}

// The places in values.
const (
	valueAge = iota
	valueLength
	valueStatus
	valueCount
)

// value puts s into its place and returns it as the value of a field. The places save an allocation
// for each field.
func (d *Delivery) value(place int, s string) []string {
	d.values[place] = s
	return d.values[place : place+1 : place+1]
}

// errGone reports that a body was not delivered because the client has gone.
var errGone = errors.New("the client has gone")

// Entry answers from the store with e in the given form. It evaluates conditions first, then
// ranges, and otherwise sends the whole (RFC 9110 §13.2.2, §14.2).
func (d *Delivery) Entry(e *store.Entry, as *entry.Form) {
	d.received = e.Received
	if d.precondition(&e.Meta, &as.Representation) {
		return
	}
	if (len(d.Request.Header["Range"]) > 0 || !e.Complete()) && d.ranges(e) {
		return
	}
	d.fields(&as.Representation)
	if as.From != nil {
		d.decoded(e, as.From)
		return
	}
	d.head(e.Status, as.Body.Size)
	if d.View.Method != http.MethodHead {
		d.segments(as.Body.Segments)
		d.noteBytesSaved(e, &as.Representation)
	}
}

// noteBytesSaved records the bytes that compression saved, if the origin sent e's content without a
// coding and the cache coded it.
func (d *Delivery) noteBytesSaved(e *store.Entry, rep *store.Representation) {
	if first := &e.Representations[0]; first.Coding == compress.Identity && rep.Coding != compress.Identity {
		d.Event.BytesSaved = first.Body.Size - rep.Body.Size
	}
}

// precondition evaluates the request's conditions. It reports whether it answered, with 304 or 412.
func (d *Delivery) precondition(facts *cachepolicy.Meta, rep *store.Representation) bool {
	status := http.StatusNotModified
	switch cachepolicy.Evaluate(d.View, facts) {
	case cachepolicy.Full:
		return false
	case cachepolicy.Failed:
		status = http.StatusPreconditionFailed
	}
	d.fields(rep)
	if status == http.StatusNotModified {
		d.nameTag(facts.ETag)
	}
	d.withoutContent(status)
	return true
}

// nameTag makes a 304 carry the tag by which the client knows its copy. origin is the origin's tag.
func (d *Delivery) nameTag(origin string) {
	h := d.Writer.Header()
	if lines, own := d.Request.Header["If-None-Match"], h["Etag"]; len(lines) > 0 && len(own) == 1 {
		if tag := cachepolicy.MatchedTag(lines, origin, own[0]); tag != own[0] {
			h["Etag"] = []string{tag}
		}
	}
}

// fields copies the stored field lines to the response and adds Age (RFC 9111 §5.1) and
// Cache-Status (RFC 9211).
func (d *Delivery) fields(rep *store.Representation) {
	h := d.Writer.Header()
	addFields(h, rep)
	maps.Copy(h, d.Provenance.Personal)
	h["Age"] = d.value(valueAge, strconv.FormatInt(Seconds(d.toldAge(h)), 10))
	d.cacheStatus(h)
	d.Event.Coding = rep.Coding.String()
}

// head writes the status line and the header section of a response with size bytes of content.
func (d *Delivery) head(status int, size int64) {
	if entry.BodyAllowed(status) {
		d.Writer.Header()["Content-Length"] = d.value(valueLength, strconv.FormatInt(size, 10))
	}
	d.statusLine(status)
}

// statusLine writes the status line and the header section. It adds no Content-Type to a response
// without one. net/http would guess one from the content, which is not up to a gateway, and a
// wrong guess could turn plain data into a page.
func (d *Delivery) statusLine(status int) {
	if h := d.Writer.Header(); len(h["Content-Type"]) == 0 {
		h["Content-Type"] = nil
	}
	d.Body.closeUnread(d.Request, d.Writer.Header())
	d.noteHead(status)
	d.Writer.WriteHeader(status)
}

// noteHead records the status and some fields of the response in the Event.
func (d *Delivery) noteHead(status int) {
	ev, h := d.Event, d.Writer.Header()
	ev.Status = status
	if v := h["Content-Type"]; len(v) > 0 {
		ev.ContentType = v[0]
	}
	if v := h["Etag"]; len(v) > 0 {
		ev.ETag = v[0]
	}
	ev.CookieVary = variesOnCookie(h["Vary"])
}

// variesOnCookie reports whether Vary lists Cookie or *, so that only requests with the same
// cookies, or no other requests, get the response.
func variesOnCookie(lines []string) bool {
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); name == "*" || strings.EqualFold(name, "Cookie") {
				return true
			}
		}
	}
	return false
}

// withoutContent writes a 304 or a 412, without the stored fields that describe content (RFC 9110
// §15.4.5).
func (d *Delivery) withoutContent(status int) {
	h := d.Writer.Header()
	for name := range h {
		if DescribesContent(name) {
			delete(h, name)
		}
	}
	if status == http.StatusPreconditionFailed {
		h["Content-Length"] = []string{"0"}
	}
	d.statusLine(status)
}

// DescribesContent reports whether a field describes content, so that a response without content
// must not have it. name is in canonical form.
func DescribesContent(name string) bool {
	switch name {
	case "Content-Length", "Content-Type", "Content-Encoding", "Content-Language", "Content-Range", "Content-Md5", "Content-Digest", "Transfer-Encoding":
		return true
	}
	return false
}

// segments writes the stored segments unchanged.
func (d *Delivery) segments(segments [][]byte) {
	for _, s := range segments {
		if !d.write(s) {
			return
		}
	}
}

// decoded writes e's content decoded from rep, because the client can't read the coding of rep. The
// decoded size is bounded, and the decoded content is never held whole.
func (d *Delivery) decoded(e *store.Entry, rep *store.Representation) {
	d.statusLine(e.Status)
	if d.View.Method == http.MethodHead {
		return
	}
	r, err := compress.NewReader(&segmentReader{rest: rep.Body.Segments}, rep.Coding, d.Codings.DecodeLimit())
	if err == nil {
		defer r.Close()
		err = d.pump(r, nil, false)
	}
	if err != nil {
		d.abort("decoding a stored response for a client that can't read it", err)
	}
}

// abort breaks the response off, so that it does not look complete. It sends the bytes written so
// far first, because a client without any byte could not tell a broken response from a broken
// connection. It always panics with http.ErrAbortHandler.
func (d *Delivery) abort(doing string, err error) {
	d.flush()
	d.Event.Err = err
	d.Server.Log.Debug("a response is broken off", "route", d.Event.Route, "doing", doing, "error", err)
	panic(http.ErrAbortHandler)
}

// write writes b. It returns false if the client has gone. The caller then stops, and net/http
// closes the connection.
func (d *Delivery) write(b []byte) bool {
	_, err := d.writeTo(b)
	return err == nil
}

// flush sends the bytes written so far. It returns false if the client has gone. A writer that
// can't flush does not hold bytes back for long.
func (d *Delivery) flush() bool {
	err := http.NewResponseController(d.Writer).Flush()
	return err == nil || errors.Is(err, http.ErrNotSupported)
}

// Stream delivers a body that is still being filled. It closes src.
func (d *Delivery) Stream(l *Stream, src *Source) {
	defer src.Close()
	d.growing = l
	if d.precondition(&l.Facts, &src.Representation) {
		return
	}
	if err := src.begin(d.Ctx); err != nil {
		d.Fail(d.failed(err))
		return
	}
	d.fields(&src.Representation)
	if d.Provenance.Own {
		maps.Copy(d.Writer.Header(), l.Own)
	}
	if l.Part != nil {
		d.Writer.Header()["Content-Range"] = l.Part
	}
	if src.size >= 0 {
		d.head(l.Facts.Status, src.size)
	} else {
		d.statusLine(l.Facts.Status)
	}
	if !entry.BodyAllowed(l.Facts.Status) {
		return
	}
	if err := d.read(src); err != nil {
		d.abort("reading along", err)
	}
	if l.Coding == compress.Identity && src.Coding != compress.Identity {
		d.Event.BytesSaved = l.Total - d.Event.BytesOut
	}
	d.Event.Stored = l.Stored // the head was sent before this was known
	d.trailers(l)
}

// trailers sends the origin's trailer fields. It flushes first, because net/http would give a small
// unsent body a Content-Length, and drop the trailer fields.
func (d *Delivery) trailers(l *Stream) {
	if len(l.Trailer) == 0 || !d.flush() {
		return
	}
	for name, values := range l.Trailer {
		d.Writer.Header()[http.TrailerPrefix+name] = values
	}
}

// read writes the body as it arrives, and flushes whenever the next bytes are not there yet. If the
// size is known, it holds the last bytes back until the body has ended well, so that no client
// receives all bytes of a response that then fails.
func (d *Delivery) read(src *Source) error {
	var sent int64
	for {
		if !src.Ready() && !d.flush() {
			return errGone
		}
		b, err := src.Next(d.Ctx)
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

// last writes the last bytes of a body, if the body ends well.
func (d *Delivery) last(src *Source, b []byte) error {
	more, err := src.Next(d.Ctx)
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
