package upstream

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"golang.org/x/net/http/httpguts"
)

// outgoing makes the request for t out of the client's: in is not changed, and keeps its body.
func (p *Pool) outgoing(ctx context.Context, in *http.Request, t *target) *http.Request {
	out := in.WithContext(ctx)
	out.URL = t.rebase(in.URL)
	out.RequestURI = ""
	out.Host = in.Host
	if !p.config.PreserveHost || out.Host == "" {
		out.Host = t.url.Host
	}
	out.Close, out.TransferEncoding, out.Form, out.PostForm, out.MultipartForm = false, nil, nil, nil, nil
	out.Header = endToEnd(in.Header)
	p.hopFields(out, in)
	outgoingBody(out, in, t.name)
	return out
}

// hopFields sets the fields that are about this hop.
func (p *Pool) hopFields(out, in *http.Request) {
	addVia(out.Header, in.ProtoMajor, in.ProtoMinor)
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header["User-Agent"] = noUserAgent
	}
	if protocol := askedUpgrade(in.Header); protocol != "" {
		AskUpgrade(out.Header, protocol)
	} else if wantsTrailers(in.Header) {
		out.Header["Te"] = []string{"trailers"}
		if p.config.Protocol == ProtocolH1 {
			out.Header["Connection"] = []string{"TE"} // RFC 9110 §10.1.4; HTTP/2 has no Connection
		}
	}
}

// outgoingBody prepares the body and what announces it.
func outgoingBody(out, in *http.Request, target string) {
	out.GetBody = nil
	if in.Body == nil || in.Body == http.NoBody || in.ContentLength == 0 && bodyless(in.Method) {
		out.Body, out.ContentLength, out.Trailer = http.NoBody, 0, nil
		delete(out.Header, "Expect") // RFC 9110 §10.1.1: not without content
		return
	}
	if !httpguts.HeaderValuesContainsToken(in.Header["Expect"], "100-continue") {
		delete(out.Header, "Expect")
	}
	out.Trailer = announced(in.Trailer)
	out.Body = &requestBody{ReadCloser: in.Body, target: target, in: in, trailer: out.Trailer, expects: out.Header["Expect"] != nil}
}

func bodyless(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions || method == http.MethodDelete
}

// announced copies the names of the trailers that may go on. Their values are known when the body has been read.
func announced(trailer http.Header) http.Header {
	var out http.Header
	for name := range trailer {
		if endsHere(name) || framing[name] || unremovable[name] || strings.HasPrefix(name, "X-Forwarded-") {
			continue // RFC 9110 §6.5.1: nothing that decides about routing, framing or authority
		}
		if out == nil {
			out = make(http.Header, len(trailer))
		}
		out[name] = nil
	}
	return out
}

// requestBody is the client's body on its way up. It marks the client's failures as such, and fills in the trailers at the end.
type requestBody struct {
	io.ReadCloser
	target  string
	in      *http.Request
	trailer http.Header
	e       *exchange
	expects bool        // the target is asked whether it wants the body
	touched atomic.Bool // something of it may have been read
}

func (b *requestBody) Read(p []byte) (int, error) {
	if err := b.e.mayHandOver(b.expects); err != nil {
		return 0, err
	}
	b.touched.Store(true)
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == io.EOF:
		for name := range b.trailer {
			b.trailer[name] = b.in.Trailer[name]
		}
	case err != nil:
		err = requestBodyError(b.target, err)
	}
	return n, err
}

// Close closes the client's body, unless the request can go on over another connection.
func (b *requestBody) Close() error {
	if b.e.untouched() {
		return nil
	}
	return b.ReadCloser.Close()
}

// rebase puts the target's scheme, authority and path in front of u.
func (t *target) rebase(u *url.URL) *url.URL {
	out := &url.URL{Scheme: t.url.Scheme, Host: t.url.Host, Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery, ForceQuery: u.ForceQuery}
	if out.Path == "*" {
		// OPTIONS * asks about the server, and stays as it is (RFC 9112 §3.2.4).
		out.Path, out.Opaque = "", "*"
	}
	if t.base != "" && out.Opaque == "" {
		out.RawPath = t.escapedBase + u.EscapedPath()
		out.Path = t.base + u.Path
	}
	return out
}
