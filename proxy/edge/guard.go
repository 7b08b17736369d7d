package edge

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/penstock/penstock/proxy/observe"
)

// GuardConfig holds the rules of the guard. A limit of 0 means no limit.
type GuardConfig struct {
	TrustedProxies []netip.Prefix // peers whose X-Forwarded-* and Forwarded are believed
	URLBytes       int            // 414
	QueryParams    int            // 400
	HeaderBytes    int            // 431; sum of names and values, without HTTP/2's overhead of 32 bytes for each field
	HeaderFields   int            // 431; lines of the header section
	// BodyBytes is the limit for every request (413). If routes have limits of their own, leave it
	// 0 and use LimitBody in the routes.
	BodyBytes int64
	// Named are the fields of Overrides that some route names explicitly. The guard lets them
	// through, and the other routes remove them.
	Named map[string]bool
}

// Trusts reports whether the guard believes a peer's claims about the client behind it.
func (c *GuardConfig) Trusts(peer netip.Addr) bool { return trust(c.TrustedProxies).has(peer) }

// Client returns the address and scheme of the client behind a request for host with the header h,
// as the guard records them in the request's Event. named is the requested host in its original
// spelling.
func (c *GuardConfig) Client(peer netip.Addr, tls bool, host string, h http.Header) (ip netip.Addr, scheme, named string) {
	found := trust(c.TrustedProxies).identify(peer, tls, host, h)
	return found.ip, found.scheme, found.named
}

// Parts returns the path and query of a target in origin-form. ok is true only if the guard would
// certainly let the target pass unchanged.
func (c *GuardConfig) Parts(target string) (path, query string, ok bool) {
	path, query, _ = strings.Cut(target, "?")
	ok = (c.URLBytes <= 0 || len(target) <= c.URLBytes) && strings.HasPrefix(path, "/") && isCanonical(path) && checkQuery(query, c.QueryParams) == nil
	return path, query, ok
}

// Claims returns the fields that Client reads.
func Claims() []string {
	return []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded"}
}

// refusal says why the guard refuses a request.
type refusal struct {
	status int
	kind   string // RFC 9209 error type
	detail string
	hangUp bool // close the connection: later bytes on it are unreliable or not worth reading
}

const (
	requestError  = "http_request_error"
	requestDenied = "http_request_denied"
)

type guard struct {
	GuardConfig
	trust trust
	next  http.Handler
}

// NewGuard returns the middleware that must stand in front of routing. It refuses requests that
// must not be routed. It gives host and path their canonical form, in URL, RequestURI and Host
// alike. It removes the fields that end at this hop and the fields that the peer is not trusted to
// send, and rewrites X-Forwarded-* and Forwarded. It records ClientIP, Scheme, Host and Upgrade in
// the request's Event.
//
// For an absolute-form target, net/http has already put the authority in place of Host, as RFC 9112
// §3.2.2 demands. net/http repairs or hides some malformed requests: Transfer-Encoding together
// with Content-Length or in HTTP/1.0, and folded fields. The connections of proxy/wire refuse these
// first.
func NewGuard(config GuardConfig) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		g := &guard{GuardConfig: config, next: next}
		for _, p := range config.TrustedProxies {
			g.trust = append(g.trust, p.Masked())
		}
		return g
	}
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ev, c := observe.FromContext(r.Context()), g.trust.identify(peerAddr(r.RemoteAddr), r.TLS != nil, r.Host, r.Header)
	if r.ProtoMajor == 1 && r.ProtoMinor == 0 && unmeasured(r) {
		w.Header().Set("Connection", "close")
	}
	ev.RawHost = c.named                                               // a request that a connection remembers must lead to the host that answered it
	ev.ClientIP, ev.Scheme, ev.PeerTrusted = c.ip, c.scheme, c.trusted // set these for refused requests too
	ev.BytesIn = headBytes(r)
	if no := g.check(r); no != nil {
		no.answer(w, r)
		return
	}
	own := &struct { // net/http reads its own request again when it ends the response
		request http.Request
		url     url.URL
	}{*r, *r.URL}
	out := &own.request
	out.URL = &own.url
	if no := g.canonicalise(out, &c, ev); no != nil {
		no.answer(w, r)
		return
	}
	if g.BodyBytes > 0 {
		out.Body = limit(w, out.Body, g.BodyBytes)
	}
	g.next.ServeHTTP(w, out)
}

// unmeasured reports whether r may be followed by content without a Content-Length. HTTP/1.0
// requires a length for every request with content (RFC 1945 §7.2.2), but an old client may omit
// it.
func unmeasured(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	return r.Header["Content-Length"] == nil
}

func (no *refusal) answer(w http.ResponseWriter, r *http.Request) {
	if no.hangUp && r.ProtoMajor == 1 {
		// Leave the body to net/http, which closes it after the response. Closing it here would
		// first wait for the rest of it.
		w.Header().Set("Connection", "close")
	}
	if no.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	}
	WriteError(w, r, no.status, no.kind, no.detail)
}

// check refuses requests that can be judged without changing them.
func (g *guard) check(r *http.Request) *refusal {
	switch {
	case r.Method == http.MethodConnect:
		// Extended CONNECT (RFC 8441) uses the same method.
		return &refusal{http.StatusNotImplemented, requestDenied, "CONNECT is not supported", true}
	case r.Method == http.MethodTrace:
		return &refusal{http.StatusMethodNotAllowed, requestDenied, "TRACE is not allowed", true}
	case !httpguts.ValidHeaderFieldName(r.Method): // a method is a token like a field name (RFC 9110 §9.1); net/http does not check this over HTTP/2
		return malformed("the method is not a token")
	case g.URLBytes > 0 && len(r.RequestURI) > g.URLBytes:
		return &refusal{http.StatusRequestURITooLong, requestError, "the URL is too long", false}
	case g.BodyBytes > 0 && r.ContentLength > g.BodyBytes:
		return bodyTooLarge
	}
	return g.checkFields(r)
}

var bodyTooLarge = &refusal{http.StatusRequestEntityTooLarge, requestError, "the request body is too large", true}

// headBytes returns the size of r's head in HTTP/1.1 form.
func headBytes(r *http.Request) int64 {
	n := len(r.Method) + len(r.RequestURI) + len(" ") + len(" HTTP/1.1\r\n") + len("Host: \r\n") + len(r.Host) + len("\r\n")
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v) + len(": \r\n")
		}
	}
	return int64(n)
}

func (g *guard) checkFields(r *http.Request) *refusal {
	lines, size := 0, 0
	for name, values := range r.Header {
		if strings.HasPrefix(name, ":") {
			return malformed("a field name begins with a colon")
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return malformed("a field value holds control characters")
			}
			lines++
			size += len(name) + len(v)
		}
	}
	if g.HeaderFields > 0 && lines > g.HeaderFields || g.HeaderBytes > 0 && size > g.HeaderBytes {
		return &refusal{http.StatusRequestHeaderFieldsTooLarge, requestError, "the header section is too large", false}
	}
	if r.ProtoMajor == 2 {
		if no := checkHTTP2(r); no != nil {
			return no
		}
	}
	return checkSingles(r)
}

// checkHTTP2 refuses malformed HTTP/2 requests (RFC 9113 §8.1.1) that net/http accepts: an
// authority in :path, whitespace around a value, and a Content-Length that is not a number or
// announces content that does not follow.
func checkHTTP2(r *http.Request) *refusal {
	if !strings.HasPrefix(r.RequestURI, "/") && r.RequestURI != "*" {
		return malformed(":path does not begin with /") // §8.3.1
	}
	for name, values := range r.Header {
		for _, v := range values {
			if v != strings.Trim(v, " \t") {
				return malformed("whitespace around the value of " + strings.ToLower(name)) // §8.2.1
			}
		}
	}
	for _, length := range r.Header["Content-Length"] {
		n, err := strconv.ParseUint(length, 10, 63)
		if err != nil || n > 0 && (r.Body == nil || r.Body == http.NoBody) {
			return malformed("Content-Length does not match the content")
		}
	}
	return nil
}

// checkSingles refuses requests with different values for a field that may occur only once. Over
// HTTP/2 net/http leaves this check to the handler.
func checkSingles(r *http.Request) *refusal {
	for _, host := range r.Header["Host"] {
		if !strings.EqualFold(host, r.Host) {
			return malformed("Host and :authority differ")
		}
	}
	lengths := r.Header["Content-Length"]
	for _, l := range lengths {
		if l != lengths[0] {
			return malformed("several Content-Length fields that differ")
		}
	}
	return nil
}

func malformed(detail string) *refusal {
	return &refusal{http.StatusBadRequest, requestError, detail, true}
}

// canonicalise gives r its canonical form. r is a shallow copy with its own URL; its header is
// still net/http's.
func (g *guard) canonicalise(r *http.Request, c *client, ev *observe.Event) *refusal {
	if err := g.target(r, c); err != nil {
		return malformed(err.Error())
	}
	c.host, c.port = r.Host, hostPort(r.Host, c.scheme)
	delete(r.Header, "Host")
	dropAliases(r.Header)
	ev.Host, ev.Upgrade = c.host, removeHopByHop(r.Header)
	c.rewriteForwarded(r.Header, g.Named)
	return nil
}

// target gives r its canonical host, path and query. If the connection has found them already, they
// are taken as they are.
func (g *guard) target(r *http.Request, c *client) error {
	if at := LocatedOf(r.Context()); at != nil && at.From(r, c.scheme, c.named) {
		return takeLocated(r, at)
	}
	r.Host = c.named
	return canonicalTarget(r, c.scheme, g.QueryParams)
}

// takeLocated gives r, which came in origin-form, the canonical host and path that its connection
// found. The connection has checked the query.
func takeLocated(r *http.Request, at *Located) error {
	r.Host = at.Host
	if path, _, _ := strings.Cut(r.RequestURI, "?"); path != at.Path {
		return SetPath(r, at.Path)
	}
	r.URL.RawPath = at.Path // net/http has decoded the same path; see SetPath
	return nil
}

// canonicalTarget brings the request's target into origin-form with a canonical host and path.
func canonicalTarget(r *http.Request, scheme string, maxParameters int) error {
	if err := checkTarget(r); err != nil {
		return err
	}
	host, err := CanonicalHost(r.Host, scheme)
	if err != nil && (r.Host != "" || r.ProtoMajor != 1 || r.ProtoMinor != 0) { // HTTP/1.0 may name no host (RFC 9112 §3.2); then only routes for every host apply
		return err
	}
	if err := checkQuery(r.URL.RawQuery, maxParameters); err != nil {
		return err
	}
	r.Host, r.URL.Scheme, r.URL.Host, r.URL.User = host, "", "", nil
	return canonicalURL(r)
}

// checkTarget refuses characters and parts that no form of request target may have (RFC 9112 §3.2).
func checkTarget(r *http.Request) error {
	switch s := r.URL.Scheme; {
	case s != "" && s != "http" && s != "https":
		return errors.New("the scheme of the target is neither http nor https")
	case s != "" && r.URL.Host == "":
		return ErrHost // RFC 9110 §4.2.1
	case r.URL.User != nil:
		return errors.New("the target has userinfo")
	}
	// net/http would escape a space from HTTP/2, and take a fragment for a part of the path.
	for i := range len(r.RequestURI) {
		if c := r.RequestURI[i]; c <= ' ' || c == 0x7f || c == '#' {
			return errors.New("the target holds characters that must be escaped")
		}
	}
	return nil
}

func canonicalURL(r *http.Request) error {
	u := r.URL
	if u.Path == "*" && r.Method == http.MethodOptions {
		return nil // it asks about the server (RFC 9110 §9.3.7); routing answers it
	}
	path, err := CanonicalPath(u.EscapedPath())
	if err != nil {
		return err
	}
	return SetPath(r, path)
}
