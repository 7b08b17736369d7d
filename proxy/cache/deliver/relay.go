package deliver

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/cache/entry"
)

// Discard closes the body of a response that is not used. resp may be nil.
func Discard(resp *http.Response) {
	if resp != nil {
		_ = resp.Body.Close() // no more bytes are expected
	}
}

// copyBuffers holds buffers for copying bodies.
var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// Relay streams a response that is for this client alone. It codes or decodes the body if the
// client needs that.
func (d *Delivery) Relay(resp *http.Response) {
	defer Discard(resp)
	if resp.StatusCode == http.StatusSwitchingProtocols {
		d.upgrade(resp)
		return
	}
	d.counted = countedBody{ReadCloser: resp.Body, n: &d.Event.BytesFromOrigin}
	resp.Body = &d.counted
	defer d.counted.forget()
	if err := d.begin(resp); err != nil {
		d.Fail(d.failed(err))
		return
	}
	h := d.Writer.Header()
	maps.Copy(h, resp.Header)
	d.cacheStatus(h)
	if d.Provenance.Unconditional && Unchanged(d.View, resp, d.Server.Now()) {
		d.nameTag(resp.Header.Get("Etag"))
		d.withoutContent(http.StatusNotModified)
		return
	}
	if resp.StatusCode == http.StatusNotModified {
		d.nameTag(resp.Header.Get("Etag"))
	}
	way := d.pipe(resp, h)
	defer way.close()
	d.contentLength(resp, way.size, h)
	d.Tags.Hide(resp.Trailer)
	for name := range resp.Trailer {
		h.Add("Trailer", name) // RFC 9110 §6.6.2
	}
	d.statusLine(resp.StatusCode)
	if d.View.Method == http.MethodHead || !entry.BodyAllowed(resp.StatusCode) {
		return
	}
	if err := d.pump(way.body, way.coder, way.size < 0); err != nil {
		d.abort("relaying", err)
	}
	if way.coder != nil {
		d.Event.BytesSaved = d.Event.BytesFromOrigin - d.Event.BytesOut
	}
	d.sendTrailers(resp, h)
}

// contentLength sets the Content-Length of h to size, or removes it if size is not known or the
// response must not have the field. It does not touch a field in which the origin says the same.
func (d *Delivery) contentLength(resp *http.Response, size int64, h http.Header) {
	switch {
	case size < 0 || !entry.BodyAllowed(resp.StatusCode) && d.View.Method != http.MethodHead:
		delete(h, "Content-Length")
	case size != resp.ContentLength || len(h["Content-Length"]) != 1:
		h["Content-Length"] = d.value(valueLength, strconv.FormatInt(size, 10))
	}
}

// Unchanged reports whether resp is the response that the client already has. The fill's call left
// out the client's own conditions, so they are evaluated here (RFC 9110 §13.2.2).
func Unchanged(q *cachepolicy.Request, resp *http.Response, now time.Time) bool {
	modified, _ := http.ParseTime(resp.Header.Get("Last-Modified"))
	facts := cachepolicy.Meta{Status: resp.StatusCode, ETag: resp.Header.Get("Etag"), LastModified: modified, Date: now}
	return (facts.ETag != "" || !modified.IsZero()) && cachepolicy.Evaluate(q, &facts) == cachepolicy.NotModified
}

// pump copies body to the client, through coder if it is not nil. It sends each piece as it arrives
// and holds no bytes of the origin back. If eager is true, it sends the header section before the
// first piece.
func (d *Delivery) pump(body io.Reader, coder compress.Writer, eager bool) error {
	if eager && !d.flush() {
		return errGone
	}
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	for {
		n, err := body.Read(*buf)
		switch {
		case n == 0:
		case err == io.EOF && coder == nil: // the end of the response sends it
			if !d.write((*buf)[:n]) {
				return errGone
			}
		case !d.send((*buf)[:n], coder):
			return errGone
		}
		switch {
		case err == io.EOF && coder != nil:
			return coder.Close()
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// send writes b and flushes it. It returns false if the client has gone.
func (d *Delivery) send(b []byte, coder compress.Writer) bool {
	if coder == nil {
		return d.write(b) && d.flush()
	}
	if _, err := coder.Write(b); err != nil {
		return false
	}
	return coder.Flush() == nil && d.flush()
}

// sendTrailers sends the origin's trailer fields, including fields that the origin did not declare.
func (d *Delivery) sendTrailers(resp *http.Response, h http.Header) {
	d.Tags.Hide(resp.Trailer)
	declared := h["Trailer"]
	for name, values := range resp.Trailer {
		if !slices.Contains(declared, name) {
			name = http.TrailerPrefix + name
		}
		h[name] = values
	}
}

// begin waits for the first bytes of a body whose length is known, before the header section is
// sent. If they do not arrive, the client gets a failure. A body of unknown length may be a stream
// that begins at any time, so its client gets the header section at once.
func (d *Delivery) begin(resp *http.Response) error {
	if resp.ContentLength <= 0 || d.View.Method == http.MethodHead || !entry.BodyAllowed(resp.StatusCode) {
		return nil
	}
	return d.counted.begin()
}

// failed returns the Failure for a body that broke before anything was sent.
func (d *Delivery) failed(err error) *Failure {
	if d.Ctx.Err() != nil {
		return ClientGone(d.Ctx)
	}
	return FailureOf(err)
}

// countedBody counts the bytes that are read from a body.
type countedBody struct {
	io.ReadCloser
	n     *int64
	first []byte // bytes that begin read in advance
	err   error  // the error that came with them
	buf   *[]byte
}

// begin reads the first bytes in advance. It returns an error if the body breaks before its first
// byte.
func (b *countedBody) begin() error {
	b.buf = copyBuffers.Get().(*[]byte)
	n, err := b.read(*b.buf)
	if n == 0 && err != nil && err != io.EOF {
		return err
	}
	b.first, b.err = (*b.buf)[:n], err
	return nil
}

// forget returns the buffer to the pool.
func (b *countedBody) forget() {
	if b.buf != nil {
		copyBuffers.Put(b.buf)
		b.buf, b.first = nil, nil
	}
}

// Read returns the bytes that begin read, and then reads from the body.
func (b *countedBody) Read(p []byte) (int, error) {
	if len(b.first) == 0 && b.err == nil {
		return b.read(p)
	}
	n := copy(p, b.first)
	b.first = b.first[n:]
	if len(b.first) > 0 {
		return n, nil
	}
	return n, b.err
}

func (b *countedBody) read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	*b.n += int64(n)
	return n, err
}

// CopyBody copies body to f until the body ends.
func CopyBody(f io.Writer, body io.Reader) (size int64, err error) {
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	for {
		n, err := body.Read(*buf)
		if n > 0 {
			size += int64(n)
			if _, werr := f.Write((*buf)[:n]); werr != nil {
				return size, werr
			}
		}
		if err == io.EOF {
			return size, nil
		}
		if err != nil {
			return size, fmt.Errorf("reading the origin's body: %w", err)
		}
	}
}
