package explain

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

	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/route"
	"github.com/penstock/penstock/proxy/upstream"
)

// Question asks how the gateway handles a request. It is the body of POST /explain.
type Question struct {
	Method string `json:"method"`
	// URL is absolute, or a path if a Host field names the host.
	URL string `json:"url"`
	// Header holds the request's field lines, as in "Accept: text/html".
	Header []string `json:"header,omitempty"`
	// From is the client's IP address. If it is empty, the client is on loopback.
	From string `json:"from,omitempty"`
	// Response is the origin's assumed response. It is nil if the question does not give it.
	Response *Given `json:"response,omitempty"`
	// Fetch asks the origin. The origin's response is not stored.
	Fetch bool `json:"fetch,omitempty"`
}

// Given is the head of an origin's response.
type Given struct {
	// Status defaults to 200.
	Status int `json:"status,omitempty"`
	// Header holds the response's field lines.
	Header []string `json:"header,omitempty"`
}

// Subject is the configuration that answers the question.
type Subject struct {
	Guard  edge.GuardConfig
	Router *route.Router
	Cache  *cache.Cache
	// Find returns the route of a request, and the method by which it takes the request.
	Find func(*http.Request, *route.Params) (found route.Found, method string)
	// Stages returns the stages that a request passes on its way to the cache, and the settings by
	// which the cache handles it.
	Stages func(*route.Route) ([]edge.Stage, *cache.Resource)
	// Refuse answers a request that no route takes.
	Refuse http.HandlerFunc
}

// Explain tells how s handles the request of ask, which stored response could answer it, and why.
// It changes nothing, and sends the request to the origin only if ask.Fetch is true. The error names
// the mistake in the question.
func Explain(ctx context.Context, s *Subject, ask Question) (*Explanation, error) {
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
	return s.explained(ctx, r, question), nil
}

// request returns the request as net/http would parse it from the wire.
func (ask *Question) request() (*http.Request, error) {
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

// peer returns the remote address of a connection from an IP address. The port is arbitrary. If
// from is empty, the address is loopback.
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

// splitURL cuts a URL as a client would, and leaves path and query unchanged.
func splitURL(s string) (scheme, host, target string, err error) {
	if err := checkLine("the URL", s); err != nil {
		return "", "", "", err
	}
	if strings.ContainsAny(s, " \t") {
		return "", "", "", errors.New("the URL has a space, which must be escaped")
	}
	s, _, _ = strings.Cut(s, "#") // clients never send the fragment
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

// fieldLines checks field lines and returns them in the form of the wire. host is true if Host is
// among them.
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

// checkLine returns an error if s contains a byte that would end its line on the wire. The error
// calls s by the given name.
func checkLine(what, s string) error {
	if strings.ContainsAny(s, "\r\n\x00") {
		return fmt.Errorf("%s has a line break: %q", what, s)
	}
	return nil
}

// response returns the response as net/http would parse it and an upstream would then check it.
func (given *Given) response(r *http.Request) (*http.Response, error) {
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

// explained sends r through the guard and the router to its route's stages and the cache, which
// explain it in place of answering it.
func (s *Subject) explained(ctx context.Context, r *http.Request, question *cache.Inquiry) *Explanation {
	e := &Explanation{Request: Request{Method: r.Method, Host: r.Host, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery}}
	ev := new(observe.Event)
	ctx = observe.NewContext(cache.WithQuestion(ctx, question), ev)
	w := &refusalWriter{header: make(http.Header)}
	explain := func(w http.ResponseWriter, r *http.Request) { s.explain(e, w, r) }
	edge.NewGuard(s.Guard)(http.HandlerFunc(explain)).ServeHTTP(w, r.WithContext(ctx))
	e.Request.Scheme = ev.Scheme
	if ev.ClientIP.IsValid() {
		e.Request.ClientIP = ev.ClientIP.String()
	}
	if question.Found != nil {
		e.take(question.Found)
		return e
	}
	if e.Refused == nil {
		e.Refused = w.refused(e)
	}
	return e
}

// explain does the work of the gateway's dispatch for a request that is only explained.
func (s *Subject) explain(e *Explanation, w http.ResponseWriter, r *http.Request) {
	ev := observe.FromContext(r.Context())
	path := r.URL.EscapedPath()
	e.Request.Host, e.Request.Path, e.Request.Canonical = r.Host, path, true
	var p route.Params
	found, method := s.Find(r, &p)
	ev.Captured = p.Captured(found.Path)
	e.Request.Path = found.Path
	for _, n := range s.Router.Notes(r.Host, found.Path, method, found.Route) {
		e.Routes = append(e.Routes, Route(n))
	}
	switch {
	case found.Route != nil:
		e.Route = found.Route.Name
		s.explainRoute(e, found.Route, w, edge.AtPath(r, found.Path))
	case r.Method == http.MethodOptions && r.URL.Path == "*":
		w.WriteHeader(http.StatusNoContent)
	case found.Miss == route.NoRoute:
		w.WriteHeader(http.StatusNotFound)
	default:
		s.Refuse(w, r)
	}
}

// explainRoute asks the stages of a route how they would handle r. If all stages let r pass, it
// asks the cache.
func (s *Subject) explainRoute(e *Explanation, rt *route.Route, w http.ResponseWriter, r *http.Request) {
	ev := observe.FromContext(r.Context())
	stages, resource := s.Stages(rt)
	at := &edge.Located{
		Method: r.Method, Scheme: ev.Scheme, RawHost: ev.RawHost, Target: r.RequestURI, Client: ev.ClientIP, BodySize: r.ContentLength,
		Host: r.Host, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Route: rt.Name, Captured: ev.Captured,
		Fields: edge.HeaderFields(r.Header),
	}
	said := edge.Explain(stages, at)
	e.Unexplained, e.Notes = said.Unexplained, said.Notes
	if cors := said.CORS; cors != nil {
		e.CORS = &CORS{Fields: cors.Fields, Why: cors.Why}
	}
	_, e.Request.Query, _ = strings.Cut(observe.HideParam("?"+e.Request.Query, resource.Hidden), "?")
	if no := said.Refused; no != nil {
		e.Refused = &Refusal{By: beforeCache, Status: no.Status, Detail: no.Detail, Location: no.Location, Stage: no.Stage, Why: no.Why}
		return
	}
	if at.Query != r.URL.RawQuery {
		r = edge.WithQuery(r, at.Query)
	}
	ev.Credential = at.Credential
	for _, name := range at.Dropped {
		delete(r.Header, name)
	}
	s.Cache.Explainer(resource).ServeHTTP(w, r)
}

const beforeCache = "the route, before its cache"

// refusalWriter records the response of a step that refuses a request on its way to the cache.
type refusalWriter struct {
	header http.Header
	status int
	text   bytes.Buffer
}

// Header returns the header of the recorded response.
func (w *refusalWriter) Header() http.Header { return w.header }

// WriteHeader records the first status.
func (w *refusalWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// Write records the content.
func (w *refusalWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.text.Write(b)
}

// refused returns the recorded response as a Refusal, with the step that gave it.
func (w *refusalWriter) refused(e *Explanation) *Refusal {
	no := &Refusal{Status: w.status, By: "the guard", Detail: strings.TrimSpace(w.text.String()), Location: w.header.Get("Location"), Allow: w.header.Get("Allow")}
	switch {
	case e.Route != "":
		no.By = beforeCache
	case e.Request.Canonical:
		no.By = "the router"
	}
	if no.Detail == "" && no.Status == http.StatusNotFound {
		no.Detail = "no route matches this request"
	}
	return no
}
