package cache

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"

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
	h := d.w.Header()
	maps.Copy(h, resp.Header)
	d.cacheStatus(h)
	if d.reply.call != nil && d.unchanged(resp) {
		d.withoutContent(http.StatusNotModified)
		return
	}
	resp.Body = &countedBody{resp.Body, &d.x.ev.BytesIn}
	way := d.conduit(resp, h)
	defer way.close()
	delete(h, "Content-Length")
	if size := way.size; size >= 0 && (bodyAllowed(resp.StatusCode) || d.x.q.Method == http.MethodHead) {
		h["Content-Length"] = []string{strconv.FormatInt(size, 10)}
	}
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
	d.sendTrailers(resp, h)
}

// unchanged reports whether the client has what resp brings: the fill that asked for it left the client's own conditions out (RFC 9110 §13.2.2).
func (d *delivery) unchanged(resp *http.Response) bool {
	modified, _ := http.ParseTime(resp.Header.Get("Last-Modified"))
	facts := cachepolicy.Meta{Status: resp.StatusCode, ETag: resp.Header.Get("Etag"), LastModified: modified, Date: d.c.Now()}
	return (facts.ETag != "" || !modified.IsZero()) && cachepolicy.Evaluate(&d.x.q, &facts) == cachepolicy.NotModified
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
		if n > 0 && !d.send((*buf)[:n], coder) {
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

// countedBody counts what comes of a body.
type countedBody struct {
	io.ReadCloser
	n *int64
}

// Read reads from the body.
func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	*b.n += int64(n)
	return n, err
}
