package cache

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
)

// relay streams a response that is for this client alone, coded or decoded for it where that is due.
func (d *delivery) relay(resp *http.Response) {
	defer discard(resp)
	if resp.StatusCode == http.StatusSwitchingProtocols {
		d.upgrade(resp)
		return
	}
	d.x.counted = countedBody{ReadCloser: resp.Body, n: &d.x.ev.BytesFromOrigin}
	resp.Body = &d.x.counted
	defer d.x.counted.forget()
	if err := d.begin(resp); err != nil {
		d.failure(d.failed(err))
		return
	}
	h := d.w.Header()
	maps.Copy(h, resp.Header)
	d.cacheStatus(h)
	if d.reply.call != nil && d.x.unchanged(resp, d.c.Now()) {
		d.withoutContent(http.StatusNotModified)
		return
	}
	way := d.conduit(resp, h)
	defer way.close()
	d.contentLength(resp, way.size, h)
	for name := range resp.Trailer {
		h.Add("Trailer", name) // RFC 9110 §6.6.2
	}
	d.status(resp.StatusCode)
	if d.x.q.Method == http.MethodHead || !bodyAllowed(resp.StatusCode) {
		return
	}
	if err := d.pump(way.body, way.coder, way.size < 0); err != nil {
		d.abort("relaying", err)
	}
	if way.coder != nil {
		d.x.ev.BytesSaved = d.x.ev.BytesFromOrigin - d.x.ev.BytesOut
	}
	d.sendTrailers(resp, h)
}

// contentLength has h announce size bytes, where there may be any. What the origin has said in the same words is left as it is.
func (d *delivery) contentLength(resp *http.Response, size int64, h http.Header) {
	switch {
	case size < 0 || !bodyAllowed(resp.StatusCode) && d.x.q.Method != http.MethodHead:
		delete(h, "Content-Length")
	case size != resp.ContentLength || len(h["Content-Length"]) != 1:
		h["Content-Length"] = d.value(valueLength, strconv.FormatInt(size, 10))
	}
}

// unchanged reports whether the client has what resp brings: the fill that asked for it left the client's own conditions out (RFC 9110 §13.2.2).
func (x *exchange) unchanged(resp *http.Response, now time.Time) bool {
	modified, _ := http.ParseTime(resp.Header.Get("Last-Modified"))
	facts := cachepolicy.Meta{Status: resp.StatusCode, ETag: resp.Header.Get("Etag"), LastModified: modified, Date: now}
	return (facts.ETag != "" || !modified.IsZero()) && cachepolicy.Evaluate(&x.q, &facts) == cachepolicy.NotModified
}

// pump copies body to the client, through coder if there is one, and sends each piece as it comes: of what the origin has sent nothing is held
// back until more comes. With eager the header section goes out before the first piece.
func (d *delivery) pump(body io.Reader, coder compress.Writer, eager bool) error {
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

// send writes b and sends it. It reports false once the client has gone.
func (d *delivery) send(b []byte, coder compress.Writer) bool {
	if coder == nil {
		return d.write(b) && d.flush()
	}
	if _, err := coder.Write(b); err != nil {
		return false
	}
	return coder.Flush() == nil && d.flush()
}

// sendTrailers sends the origin's trailer fields, also those that it had not declared.
func (d *delivery) sendTrailers(resp *http.Response, h http.Header) {
	declared := h["Trailer"]
	for name, values := range resp.Trailer {
		if !slices.Contains(declared, name) {
			name = http.TrailerPrefix + name
		}
		h[name] = values
	}
}

// begin waits for the first bytes of a body whose length is known: until they have come nothing is sent, and where they don't come the client is told
// so. A body of unknown length may be a stream that begins at any time; its client gets the header section at once.
func (d *delivery) begin(resp *http.Response) error {
	if resp.ContentLength <= 0 || d.x.q.Method == http.MethodHead || !bodyAllowed(resp.StatusCode) {
		return nil
	}
	return d.x.counted.begin()
}

// failed is what the client is told of a body that broke before anything was sent.
func (d *delivery) failed(err error) *failure {
	if d.x.ctx.Err() != nil {
		return gone(d.x.ctx).failure
	}
	return failureOf(err)
}

// countedBody counts what comes of a body.
type countedBody struct {
	io.ReadCloser
	n     *int64
	first []byte // was read in advance
	err   error  // came with it
	buf   *[]byte
}

// begin reads the first bytes in advance.
func (b *countedBody) begin() error {
	b.buf = copyBuffers.Get().(*[]byte)
	n, err := b.read(*b.buf)
	if n == 0 && err != nil && err != io.EOF {
		return err
	}
	b.first, b.err = (*b.buf)[:n], err
	return nil
}

// forget gives the buffer back.
func (b *countedBody) forget() {
	if b.buf != nil {
		copyBuffers.Put(b.buf)
		b.buf, b.first = nil, nil
	}
}

// Read reads from the body.
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
