package std

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/penstock/penstock/proxy/upstream/fault"
	"github.com/penstock/penstock/proxy/upstream/hop"
	"github.com/penstock/penstock/proxy/upstream/send"
)

// outgoing makes the request for the target out of the client's: in is not changed, and keeps its
// body.
func (s *Sender) outgoing(ctx context.Context, in *http.Request) *http.Request {
	out := in.WithContext(ctx)
	out.URL = s.target.Rebase(in.URL)
	out.RequestURI = ""
	out.Host = in.Host
	if !s.client.config.PreserveHost || out.Host == "" {
		out.Host = s.target.Authority
	}
	out.Close, out.TransferEncoding, out.Form, out.PostForm, out.MultipartForm = false, nil, nil, nil, nil
	out.Header = hop.EndToEnd(in.Header)
	s.client.hopFields(out, in)
	outgoingBody(out, in, s.target.Name)
	return out
}

// hopFields sets the fields that are about this hop.
func (c *Client) hopFields(out, in *http.Request) {
	hop.AddVia(out.Header, in.ProtoMajor, in.ProtoMinor)
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header["User-Agent"] = hop.NoUserAgent
	}
	if protocol := hop.AskedUpgrade(in.Header); protocol != "" {
		hop.AskUpgrade(out.Header, protocol)
	} else if hop.WantsTrailers(in.Header) {
		out.Header["Te"] = []string{"trailers"}
		if c.config.HTTP1 && !c.config.HTTP2 {
			out.Header["Connection"] = []string{"TE"} // RFC 9110 §10.1.4; HTTP/2 has no Connection
		}
	}
}

// outgoingBody prepares the body and the fields that announce it.
func outgoingBody(out, in *http.Request, target string) {
	out.GetBody = nil
	if in.Body == nil || in.Body == http.NoBody || in.ContentLength == 0 && hop.Bodyless(in.Method) {
		out.Body, out.ContentLength, out.Trailer = http.NoBody, 0, nil
		delete(out.Header, "Expect") // RFC 9110 §10.1.1: not without content
		return
	}
	if !httpguts.HeaderValuesContainsToken(in.Header["Expect"], "100-continue") {
		delete(out.Header, "Expect")
	}
	out.Trailer = hop.Announced(in.Trailer)
	out.Body = &requestBody{ReadCloser: in.Body, target: target, in: in, trailer: out.Trailer, expects: out.Header["Expect"] != nil}
}

// requestBody is the client's body on its way up. It marks the client's failures as such, and fills
// in the trailers at the end.
type requestBody struct {
	io.ReadCloser
	target  string
	in      *http.Request
	trailer http.Header
	attempt *attempt
	expects bool        // the target is asked whether it wants the body
	touched atomic.Bool // something of it may have been read
	wait    send.SendWait
}

func (b *requestBody) Read(p []byte) (int, error) {
	if err := b.attempt.mayHandOver(b.expects); err != nil {
		return 0, err
	}
	b.touched.Store(true)
	b.wait.Begin(time.Now())
	n, err := b.ReadCloser.Read(p)
	b.wait.End(time.Now())
	switch {
	case err == io.EOF:
		for name := range b.trailer {
			b.trailer[name] = b.in.Trailer[name]
		}
	case err != nil && err != fault.ErrTaken:
		err = fault.RequestBodyError(b.target, err)
	}
	return n, err
}

// Close ends the view of the client's body. If nothing of it was read, the transport may go on to
// read it over another connection.
func (b *requestBody) Close() error {
	if !b.touched.Load() {
		return nil
	}
	return b.ReadCloser.Close()
}
