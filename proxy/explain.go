package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/upstream"
)

// ExplainRequest asks what becomes of a request. It is the body of POST /explain.
type ExplainRequest struct {
	Method string `json:"method"`
	// URL is absolute, or a path of the host that a Host field names.
	URL string `json:"url"`
	// Header are the request's field lines, as in "Accept: text/html".
	Header []string `json:"header,omitempty"`
	// From is the address that it comes from; "": loopback.
	From string `json:"from,omitempty"`
	// Response is what the origin is taken to answer; nil: it is not known.
	Response *ExplainResponse `json:"response,omitempty"`
	// Fetch has the origin asked. What it answers is not stored.
	Fetch bool `json:"fetch,omitempty"`
}

// ExplainResponse is the head of an origin's response.
type ExplainResponse struct {
	// Status is 200 where it is 0.
	Status int `json:"status,omitempty"`
	// Header are its field lines.
	Header []string `json:"header,omitempty"`
}

// Explain says what the running configuration makes of a request, what is stored that could answer it, and why. It changes nothing, and asks the
// origin only where it is told to. An error says what is wrong with the question.
func (g *Gateway) Explain(ctx context.Context, ask ExplainRequest) (*Explanation, error) {
	r, err := ask.request()
	if err != nil {
		return nil, err
	}
	question := &cache.Inquiry{Fetch: ask.Fetch}
	if ask.Response != nil {
		if ask.Fetch {
			return nil, errors.New("a response is given, and the origin is to be asked: it is one or the other")
		}
		if question.Response, err = ask.Response.response(r); err != nil {
			return nil, err
		}
	}
	return g.snapshot.Load().explained(ctx, r, question), nil
}

// request is the request that net/http would make of it.
func (ask *ExplainRequest) request() (*http.Request, error) {
	scheme, host, target, err := splitURL(ask.URL)
	if err != nil {
		return nil, err
	}
	method := ask.Method
	if method == "" {
		method = http.MethodGet
	}
	lines, named, err := fieldLines(ask.Header)
	if err != nil {
		return nil, err
	}
	if !named {
		lines = append(lines, "Host: "+host)
	}
	if err := checkLine("the method", method); err != nil {
		return nil, err
	}
	text := method + " " + target + " HTTP/1.1\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		return nil, fmt.Errorf("no server would take this for a request: %w", err)
	}
	if scheme == "https" {
		r.TLS = &tls.ConnectionState{HandshakeComplete: true}
	}
	r.RemoteAddr, err = peer(ask.From)
	return r, err
}

// peer is the address of a connection from an IP address.
func peer(from string) (string, error) {
	if from == "" {
		return "127.0.0.1:1", nil
	}
	ip, err := netip.ParseAddr(from)
	if err != nil {
		return "", fmt.Errorf("from: %q is no IP address", from)
	}
	return netip.AddrPortFrom(ip, 1).String(), nil
}

// splitURL cuts a URL as a client would, and leaves path and query as they are.
func splitURL(s string) (scheme, host, target string, err error) {
	if err := checkLine("the URL", s); err != nil {
		return "", "", "", err
	}
	if strings.ContainsAny(s, " \t") {
		return "", "", "", errors.New("the URL has a space, which must be escaped")
	}
	s, _, _ = strings.Cut(s, "#") // which is never sent to a server
	if strings.HasPrefix(s, "/") || s == "*" {
		return "http", "localhost", s, nil
	}
	scheme, rest, ok := strings.Cut(s, "://")
	scheme = strings.ToLower(scheme)
	if !ok || scheme != "http" && scheme != "https" {
		return "", "", "", fmt.Errorf("%q is no URL such as https://example.com/path, nor a path", s)
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	host, target = rest[:end], rest[end:]
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	return scheme, host, target, nil
}

// fieldLines checks field lines, and tells whether Host is among them.
func fieldLines(lines []string) (out []string, host bool, err error) {
	for _, line := range lines {
		if err := checkLine("the field", line); err != nil {
			return nil, false, err
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, false, fmt.Errorf("%q is no field line such as \"Accept: text/html\"", line)
		}
		host = host || strings.EqualFold(name, "Host")
		out = append(out, name+": "+strings.TrimSpace(value))
	}
	return out, host, nil
}

func checkLine(what, s string) error {
	if strings.ContainsAny(s, "\r\n\x00") {
		return fmt.Errorf("%s has a line break: %q", what, s)
	}
	return nil
}

// response is what net/http would make of it, and an upstream's pool of that.
func (given *ExplainResponse) response(r *http.Request) (*http.Response, error) {
	status := given.Status
	if status == 0 {
		status = http.StatusOK
	}
	lines, _, err := fieldLines(given.Header)
	if err != nil {
		return nil, fmt.Errorf("response: %w", err)
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "HTTP/1.1 %03d %s\r\n", status, http.StatusText(status))
	for _, line := range lines {
		text.WriteString(line + "\r\n")
	}
	text.WriteString("\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(&text), r)
	if err != nil {
		return nil, fmt.Errorf("response: %w", err)
	}
	resp.Body.Close()
	if err := upstream.Given(resp); err != nil {
		return nil, fmt.Errorf("response: %w", err)
	}
	return resp, nil
}

// explained sends r the way of all requests, up to where its route would begin to act.
func (s *Snapshot) explained(ctx context.Context, r *http.Request, question *cache.Inquiry) *Explanation {
	e := &Explanation{Request: ExplainedRequest{Method: r.Method, Host: r.Host, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery}}
	ev := new(observe.Event)
	ctx = observe.NewContext(cache.WithQuestion(ctx, question), ev)
	ctx = context.WithValue(ctx, explanationKey{}, e)
	w := &refusalWriter{header: make(http.Header)}
	s.explainer.ServeHTTP(w, r.WithContext(ctx))
	e.Request.Scheme = ev.Scheme
	if ev.ClientIP.IsValid() {
		e.Request.ClientIP = ev.ClientIP.String()
	}
	if question.Found != nil {
		e.take(question.Found)
		return e
	}
	e.Refused = w.refused(e)
	return e
}

type explanationKey struct{}

// explain is dispatch for a request that is only explained.
func (s *Snapshot) explain(w http.ResponseWriter, r *http.Request) {
	ev := observe.FromContext(r.Context())
	e, ok := r.Context().Value(explanationKey{}).(*Explanation)
	if !ok {
		return
	}
	path := r.URL.EscapedPath()
	e.Request.Host, e.Request.Path, e.Request.Canonical = r.Host, path, true
	rt, refuse := s.router.find(r.Host, path, r.Method, func(c *chi.Context) { ev.Captured = captured(c) })
	e.Routes = s.router.notes(r.Host, path, r.Method, rt)
	switch {
	case rt != nil:
		e.Route = rt.name
		rt.explain.ServeHTTP(w, r)
	case r.Method == http.MethodOptions && r.URL.Path == "*":
		w.WriteHeader(http.StatusNoContent)
	case refuse != nil:
		refuse.ServeHTTP(w, r)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// refusalWriter takes the answer of what refuses a request on its way to the cache.
type refusalWriter struct {
	header http.Header
	status int
	text   bytes.Buffer
}

// Header is the header of the answer.
func (w *refusalWriter) Header() http.Header { return w.header }

// WriteHeader notes the status.
func (w *refusalWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// Write keeps the content.
func (w *refusalWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.text.Write(b)
}

// refused is what was written.
func (w *refusalWriter) refused(e *Explanation) *ExplainedRefusal {
	no := &ExplainedRefusal{Status: w.status, By: "the guard", Detail: strings.TrimSpace(w.text.String()), Location: w.header.Get("Location"), Allow: w.header.Get("Allow")}
	switch {
	case e.Route != "":
		no.By = "the route, before its cache"
	case e.Request.Canonical:
		no.By = "the router"
	}
	if no.Detail == "" && no.Status == http.StatusNotFound {
		no.Detail = "no route matches this request"
	}
	return no
}
