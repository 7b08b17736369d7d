package edge

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/penstock/penstock/proxy/observe"
)

// GuardConfig is what the guard is to enforce. A limit of 0 is none.
type GuardConfig struct {
	TrustedProxies []netip.Prefix // peers whose X-Forwarded-* and Forwarded are believed
	URLBytes       int            // 414
	QueryParams    int            // 400
	HeaderBytes    int            // 431; sizes as HTTP/2 counts them but for its overhead of 32 a field
	HeaderFields   int            // 431; lines of the header section
	// BodyBytes is the limit for every request (413). Where routes have their own, leave it 0 and put LimitBody into the routes.
	BodyBytes int64
}

// Trusts reports whether a peer is believed what it says of the client behind it.
func (c *GuardConfig) Trusts(peer netip.Addr) bool { return trust(c.TrustedProxies).has(peer) }

// Client is the address and the scheme of the client behind a request with the header h, as the guard notes them in its Event.
func (c *GuardConfig) Client(peer netip.Addr, tls bool, h http.Header) (ip netip.Addr, scheme string) {
	found := trust(c.TrustedProxies).identify(peer, tls, h)
	return found.ip, found.scheme
}

// Parts are the path and the query of a target in origin-form that the guard would let pass as it is, if it is certain that it would.
func (c *GuardConfig) Parts(target string) (path, query string, ok bool) {
	path, query, _ = strings.Cut(target, "?")
	ok = (c.URLBytes <= 0 || len(target) <= c.URLBytes) && strings.HasPrefix(path, "/") && isCanonical(path) && checkQuery(query, c.QueryParams) == nil
	return path, query, ok
}

// Claims are the fields that Client goes by.
func Claims() []string { return []string{"X-Forwarded-For", "X-Forwarded-Proto", "Forwarded"} }

// refusal is why a request goes no further.
type refusal struct {
	status int
	kind   string // RFC 9209 error type
	detail string
	hangUp bool // what follows on the connection can't be trusted, or is not worth reading
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

// NewGuard returns the middleware that has to stand in front of routing. It refuses what must not be routed, gives host and path their canonical form
// (in URL, RequestURI and Host alike), removes the fields that end at this hop and those that the peer is not trusted to send, writes X-Forwarded-*
// and Forwarded anew, and notes ClientIP, Scheme, Host and Upgrade in the request's Event.
//
// Of an absolute-form target net/http has already put the authority in place of the Host field, as RFC 9112 §3.2.2 demands; the conflict between the
// two can't be seen here, and can't mislead anyone behind.
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
	if r.ProtoMajor == 1 && r.ProtoMinor == 0 {
		// net/http takes no notice of Transfer-Encoding in HTTP/1.0, so that a chunked body would be read as the next request (RFC 9112 §6.1).
		w.Header().Set("Connection", "close")
	}
	ev, c := observe.FromContext(r.Context()), g.trust.identify(peerAddr(r.RemoteAddr), r.TLS != nil, r.Header)
	ev.ClientIP, ev.Scheme, ev.PeerTrusted = c.ip, c.scheme, c.trusted // also of a request that is refused
	ev.BytesIn = headBytes(r)
	if no := g.check(r); no != nil {
		no.answer(w, r)
		return
	}
	own := &struct { // net/http looks at its own request again when it ends the response
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

func (no *refusal) answer(w http.ResponseWriter, r *http.Request) {
	if no.hangUp && r.ProtoMajor == 1 {
		// The body is left to net/http, which closes it once the answer is out: to close it here would first wait for the rest of it.
		w.Header().Set("Connection", "close")
	}
	if no.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	}
	WriteError(w, r, no.status, no.kind, no.detail)
}

// check refuses what can be refused without changing the request.
func (g *guard) check(r *http.Request) *refusal {
	switch {
	case r.Method == http.MethodConnect:
		// Extended CONNECT (RFC 8441) comes with the same method.
		return &refusal{http.StatusNotImplemented, requestDenied, "CONNECT is not supported", true}
	case r.Method == http.MethodTrace:
		return &refusal{http.StatusMethodNotAllowed, requestDenied, "TRACE is not allowed", true}
	case !httpguts.ValidHeaderFieldName(r.Method): // both are tokens (RFC 9110 §9.1); net/http does not check it over HTTP/2
		return malformed("the method is no token")
	case g.URLBytes > 0 && len(r.RequestURI) > g.URLBytes:
		return &refusal{http.StatusRequestURITooLong, requestError, "the URL is too long", false}
	case g.BodyBytes > 0 && r.ContentLength > g.BodyBytes:
		return bodyTooLarge
	}
	return g.checkFields(r)
}

var bodyTooLarge = &refusal{http.StatusRequestEntityTooLarge, requestError, "the request body is too large", true}

// headBytes is the size of r's head as HTTP/1.1 would write it.
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
	return checkSingles(r)
}

// checkSingles refuses fields that may come only once and came with different values. Over HTTP/2 net/http leaves them to the handler.
func checkSingles(r *http.Request) *refusal {
	for _, host := range r.Header["Host"] {
		if !strings.EqualFold(host, r.Host) {
			return malformed("Host and :authority differ")
		}
	}
	lengths := r.Header["Content-Length"]
	for _, l := range lengths {
		if l != lengths[0] {
			return malformed("several Content-Length")
		}
	}
	return nil
}

func malformed(detail string) *refusal {
	return &refusal{http.StatusBadRequest, requestError, detail, true}
}

// canonicalise gives r its one form. r is a shallow copy with an URL of its own; its header is the one that net/http made.
func (g *guard) canonicalise(r *http.Request, c *client, ev *observe.Event) *refusal {
	if err := canonicalTarget(r, c.scheme, g.QueryParams); err != nil {
		return malformed(err.Error())
	}
	c.host, c.port = r.Host, hostPort(r.Host, c.scheme)
	delete(r.Header, "Host")
	dropAliases(r.Header)
	ev.Host, ev.Upgrade = c.host, removeHopByHop(r.Header)
	c.rewriteForwarded(r.Header)
	return nil
}

// canonicalTarget brings the request's target into origin-form with a canonical host and path.
func canonicalTarget(r *http.Request, scheme string, maxParameters int) error {
	if err := checkTarget(r); err != nil {
		return err
	}
	host, err := CanonicalHost(r.Host, scheme)
	if err != nil {
		return err
	}
	if err := checkQuery(r.URL.RawQuery, maxParameters); err != nil {
		return err
	}
	r.Host, r.URL.Scheme, r.URL.Host, r.URL.User = host, "", "", nil
	return canonicalURL(r)
}

// checkTarget refuses what no request target may hold in any of its forms (RFC 9112 §3.2).
func checkTarget(r *http.Request) error {
	switch s := r.URL.Scheme; {
	case s != "" && s != "http" && s != "https":
		return errors.New("the scheme of the target is neither http nor https")
	case s != "" && r.URL.Host == "":
		return ErrHost // RFC 9110 §4.2.1
	case r.URL.User != nil:
		return errors.New("the target has userinfo")
	}
	// net/http would escape a space that came over HTTP/2, and take a fragment for a part of the path.
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
		return nil // asks about the server (RFC 9110 §9.3.7), routing answers it
	}
	path, err := CanonicalPath(u.EscapedPath())
	if err != nil {
		return err
	}
	if u.Path, err = url.PathUnescape(path); err != nil {
		return ErrPath
	}
	// Always set, so that a router which prefers RawPath sees the canonical form of every request, never the decoded one of some.
	u.RawPath = path
	r.RequestURI = path
	if u.RawQuery != "" || u.ForceQuery {
		r.RequestURI += "?" + u.RawQuery
	}
	return nil
}
