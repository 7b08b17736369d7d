package cache

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/penstock/penstock/compress"
)

// relay streams a response that is for this client alone, coded or decoded for it where that is due.
func (d *delivery) relay(resp *http.Response) {
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		d.upgrade(resp)
		return
	}
	h := d.w.Header()
	for name, values := range resp.Header {
		h[name] = values
	}
	d.cacheStatus(h)
	body, write, finish := d.transcode(resp, h)
	defer body.Close()
	if resp.ContentLength >= 0 && write == nil && body == resp.Body {
		h["Content-Length"] = []string{strconv.FormatInt(resp.ContentLength, 10)}
	} else if d.x.q.Method != http.MethodHead {
		delete(h, "Content-Length")
	}
	d.announceTrailers(resp, h)
	d.status(resp.StatusCode)
	if d.x.q.Method == http.MethodHead || !bodyAllowed(resp.StatusCode) {
		return
	}
	if err := d.pump(body, write, flushAtOnce(resp)); err != nil {
		panic(http.ErrAbortHandler)
	}
	if finish != nil && finish() != nil {
		panic(http.ErrAbortHandler)
	}
	d.sendTrailers(resp, h)
}

// flushAtOnce tells whether what comes is to be sent at once: server-sent events, and whatever has no known end.
func flushAtOnce(resp *http.Response) bool {
	return resp.ContentLength < 0 || strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream")
}

// flushWriter is a coder between the origin's body and the client.
type flushWriter interface {
	io.Writer
	Flush() error
}

// pump copies body to the client.
func (d *delivery) pump(body io.Reader, coder flushWriter, flush bool) error {
	var dst io.Writer = writerFunc(func(p []byte) (int, error) {
		n, err := d.w.Write(p)
		d.x.ev.BytesOut += int64(n)
		return n, err
	})
	if coder != nil {
		dst = coder
	}
	if !flush {
		return d.copyPlain(dst, body)
	}
	out := http.NewResponseController(d.w)
	if err := out.Flush(); err != nil {
		return nil
	}
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	for {
		n, err := body.Read(*buf)
		if n > 0 {
			if _, werr := dst.Write((*buf)[:n]); werr != nil {
				return nil // the client is gone
			}
			if coder != nil {
				if werr := coder.Flush(); werr != nil {
					return nil
				}
			}
			if werr := out.Flush(); werr != nil {
				return nil
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// copyPlain copies a body of known length. An error of the client's side is none of ours.
func (d *delivery) copyPlain(dst io.Writer, body io.Reader) error {
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	for {
		n, err := body.Read(*buf)
		if n > 0 {
			if _, werr := dst.Write((*buf)[:n]); werr != nil {
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// transcode brings the body into a coding that the client reads. It changes the header to suit, and returns what to read and, when the
// body is to be coded, what to write to and how to end it.
func (d *delivery) transcode(resp *http.Response, h http.Header) (io.ReadCloser, flushWriter, func() error) {
	coding := compress.CodingOf(h.Get("Content-Encoding"))
	accept := d.x.r.Header["Accept-Encoding"]
	derive := derivableOf(d.x.res, resp.StatusCode, h, resp.ContentLength, coding)
	if derive == 0 || !bodyAllowed(resp.StatusCode) || resp.StatusCode == http.StatusPartialContent || len(resp.Header["Content-Range"]) > 0 {
		return resp.Body, nil, nil
	}
	if d.x.res.Compress != nil {
		compress.AddVary(h)
	}
	if coding != compress.Identity {
		return d.decode(resp, h, coding, accept)
	}
	want, ok := compress.Negotiate(accept, derive.With(compress.Identity), d.x.res.Compress.Encodings)
	if !ok || want == compress.Identity {
		return resp.Body, nil, nil
	}
	setHeader(h, codedHeader(h, want))
	d.x.ev.Coding = want.String()
	if d.x.q.Method == http.MethodHead {
		delete(h, "Content-Length")
		return resp.Body, nil, nil
	}
	w := compress.NewWriter(writerFunc(func(p []byte) (int, error) {
		n, err := d.w.Write(p)
		d.x.ev.BytesOut += int64(n)
		return n, err
	}), want, d.x.res.Compress.Level[want])
	return resp.Body, w, w.Close
}

// decode reads a body whose coding the client can't, decoded.
func (d *delivery) decode(resp *http.Response, h http.Header, coding compress.Coding, accept []string) (io.ReadCloser, flushWriter, func() error) {
	if compress.Accepts(accept, coding) {
		return resp.Body, nil, nil
	}
	setHeader(h, codedHeader(h, compress.Identity))
	if d.x.q.Method == http.MethodHead {
		delete(h, "Content-Length")
		return resp.Body, nil, nil
	}
	r, err := compress.NewReader(resp.Body, coding, d.x.res.decodeLimit())
	if err != nil {
		d.c.log.Warn("decoding a response for a client that can't read it failed", "coding", coding.String(), "err", err)
		return resp.Body, nil, nil
	}
	return r, nil, nil
}

// setHeader makes dst equal to src.
func setHeader(dst, src http.Header) {
	clear(dst)
	for name, values := range src {
		dst[name] = values
	}
}

// announceTrailers declares the trailer fields that the origin has declared (RFC 9110 §6.6.2).
func (d *delivery) announceTrailers(resp *http.Response, h http.Header) {
	for name := range resp.Trailer {
		h.Add("Trailer", name)
	}
}

// sendTrailers sends the origin's trailer fields, also those that it had not declared.
func (d *delivery) sendTrailers(resp *http.Response, h http.Header) {
	declared := h["Trailer"]
	for name, values := range resp.Trailer {
		if !contains(declared, name) {
			name = http.TrailerPrefix + name
		}
		h[name] = values
	}
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}
