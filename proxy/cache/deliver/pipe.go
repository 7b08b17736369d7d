package deliver

import (
	"io"
	"net/http"

	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/cache/entry"
)

// bodyPipe carries the body of a relayed response to the client.
type bodyPipe struct {
	body  io.ReadCloser
	coder compress.Writer // codes the body for the client; nil if the body goes unchanged
	size  int64           // of the body that the client gets; -1 if not known
}

// close releases the body and the coder. A coder that was not closed before leaves its stream
// without an end.
func (w bodyPipe) close() {
	if w.coder != nil {
		w.coder.Abort()
	}
	_ = w.body.Close() // all the wanted bytes have been read
}

// pipe returns the body of resp in a coding that the client reads, and adapts h to it. h is the
// client's copy of resp's header.
func (d *Delivery) pipe(resp *http.Response, h http.Header) bodyPipe {
	plain := bodyPipe{body: resp.Body, size: resp.ContentLength}
	coding := compress.HeaderCoding(h)
	derive := d.Codings.Derivable(resp.StatusCode, h, resp.ContentLength, coding)
	if derive == 0 || !entry.BodyAllowed(resp.StatusCode) {
		return plain
	}
	if d.Codings.Policy != nil {
		compress.AddVary(h)
	}
	accept := d.Request.Header["Accept-Encoding"]
	if coding != compress.Identity {
		if compress.Accepts(accept, coding) {
			return plain
		}
		return d.decoding(resp, h, coding)
	}
	want, ok := compress.Negotiate(accept, derive.With(compress.Identity), d.Codings.Policy.Encodings)
	if !ok || want == compress.Identity {
		return plain
	}
	d.recode(h, want)
	way := bodyPipe{body: resp.Body, size: -1}
	if d.View.Method != http.MethodHead {
		way.coder = compress.NewWriter(writerFunc(d.writeTo), want, d.Codings.Policy.Level[want])
	}
	return way
}

// decoding returns the decoded body of resp, because the client can't read its coding. The decoded
// size is bounded.
func (d *Delivery) decoding(resp *http.Response, h http.Header, coding compress.Coding) bodyPipe {
	way := bodyPipe{body: resp.Body, size: -1}
	if d.View.Method != http.MethodHead {
		r, err := compress.NewReader(resp.Body, coding, d.Codings.DecodeLimit())
		if err != nil {
			way.body = &Replayed{Broken{err}, resp.Body} // the response breaks off, because the client could not read the coded bytes
		} else {
			way.body = r
		}
	}
	d.recode(h, compress.Identity)
	return way
}

// recode changes h to the header of the same response under another coding.
func (d *Delivery) recode(h http.Header, coding compress.Coding) {
	SetHeader(h, entry.CodedHeader(h, coding))
	d.Event.Coding = coding.String()
}

type writerFunc func([]byte) (int, error)

// Write calls f.
func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// writeTo writes to the client and counts the bytes.
func (d *Delivery) writeTo(p []byte) (int, error) {
	n, err := d.Writer.Write(p)
	d.Event.BytesOut += int64(n)
	return n, err
}
