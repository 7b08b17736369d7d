package cache

import (
	"io"
	"net/http"

	"github.com/penstock/penstock/compress"
)

// conduit is how the body of a relayed response gets to the client.
type conduit struct {
	body  io.ReadCloser
	coder compress.Writer // what is read goes through it; nil: it goes as it is
	size  int64           // of what the client gets; -1: not known
}

// close gives back what the conduit holds. A coder that was not closed leaves its stream without an end.
func (w conduit) close() {
	if w.coder != nil {
		w.coder.Abort()
	}
	_ = w.body.Close() // all that was wanted has been read
}

// conduit brings resp's body into a coding that the client reads, and h, which is what the client gets of resp's header, with it.
func (d *delivery) conduit(resp *http.Response, h http.Header) conduit {
	plain := conduit{body: resp.Body, size: resp.ContentLength}
	coding := compress.HeaderCoding(h)
	derive := d.x.res.derivable(resp.StatusCode, h, resp.ContentLength, coding)
	if derive == 0 || !bodyAllowed(resp.StatusCode) {
		return plain
	}
	if d.x.res.Compress != nil {
		compress.AddVary(h)
	}
	accept := d.x.r.Header["Accept-Encoding"]
	if coding != compress.Identity {
		if compress.Accepts(accept, coding) {
			return plain
		}
		return d.decoding(resp, h, coding)
	}
	want, ok := compress.Negotiate(accept, derive.With(compress.Identity), d.x.res.Compress.Encodings)
	if !ok || want == compress.Identity {
		return plain
	}
	d.recode(h, want)
	way := conduit{body: resp.Body, size: -1}
	if d.x.q.Method != http.MethodHead {
		way.coder = compress.NewWriter(writerFunc(d.writeTo), want, d.x.res.Compress.Level[want])
	}
	return way
}

// decoding reads a body whose coding the client can't, decoded. What it decodes to is bounded.
func (d *delivery) decoding(resp *http.Response, h http.Header, coding compress.Coding) conduit {
	way := conduit{body: resp.Body, size: -1}
	if d.x.q.Method != http.MethodHead {
		r, err := compress.NewReader(resp.Body, coding, d.x.res.decodeLimit())
		if err != nil {
			d.c.Log.Warn("decoding a response for a client that can't read it failed", "coding", coding.String(), "error", err)
			return conduit{body: resp.Body, size: resp.ContentLength}
		}
		way.body = r
	}
	d.recode(h, compress.Identity)
	return way
}

// recode makes h that of the same response under another coding.
func (d *delivery) recode(h http.Header, coding compress.Coding) {
	setHeader(h, codedHeader(h, coding))
	d.x.ev.Coding = coding.String()
}

type writerFunc func([]byte) (int, error)

// Write calls f.
func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// writeTo writes to the client and counts.
func (d *delivery) writeTo(p []byte) (int, error) {
	n, err := d.w.Write(p)
	d.x.ev.BytesOut += int64(n)
	return n, err
}
