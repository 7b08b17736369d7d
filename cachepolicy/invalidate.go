package cachepolicy

import (
	"net/url"
	"slices"
	"strings"
)

// Invalidates reports whether the answer to q makes what is stored for q's own URL stale: a response that is no error to a
// request whose method is not known to be safe (RFC 9111 §4.4).
func Invalidates(q *Request, a *Answer) bool {
	return !isSafe(q.Method) && a.Failure == FailureNone && a.Status >= 200 && a.Status < 400
}

// InvalidatedURLs gives the canonical absolute URLs that the answer makes stale beside q's own: those in Location and
// Content-Location, as far as they have q's origin, lest one origin could evict what another has stored (RFC 9111 §4.4).
func InvalidatedURLs(q *Request, a *Answer) []string {
	if !Invalidates(q, a) {
		return nil
	}
	var urls []string
	for _, name := range [...]string{"Location", "Content-Location"} {
		for _, ref := range a.Header[name] {
			scheme, host, path, query, ok := CanonicalURL(q, ref)
			if !ok || scheme != q.Scheme || host != q.Host {
				continue
			}
			u := joinURL(scheme, host, path, query)
			if u != joinURL(q.Scheme, q.Host, q.Path, q.RawQuery) && !slices.Contains(urls, u) {
				urls = append(urls, u)
			}
		}
	}
	return urls
}

// isSafe reports whether a method is registered as safe (RFC 9110 §9.2.1 and the method registry). Any other, and any that is
// unknown, may have changed things.
func isSafe(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY":
		return true
	}
	return false
}

// CanonicalURL resolves ref against base's URL (RFC 3986 §5) and gives its parts as a Request has them: host in lower case without
// the scheme's default port or trailing dot, path escaped as in the reference, dot segments gone, never empty. ok is false for what
// is no http or https URL, carries user information, or is empty.
func CanonicalURL(base *Request, ref string) (scheme, host, path, rawQuery string, ok bool) {
	if ref = trimOWS(ref); ref == "" {
		return "", "", "", "", false
	}
	from, err := url.Parse(joinURL(base.Scheme, base.Host, base.Path, base.RawQuery))
	if err != nil {
		return "", "", "", "", false
	}
	to, err := from.Parse(ref)
	if err != nil || to.User != nil || to.Host == "" || to.Scheme != "http" && to.Scheme != "https" {
		return "", "", "", "", false
	}
	path = to.EscapedPath()
	if path == "" {
		path = "/"
	}
	return to.Scheme, canonicalHost(to.Scheme, to.Host), path, to.RawQuery, true
}

// canonicalHost is host in lower case, without the scheme's default port and without the root's trailing dot.
func canonicalHost(scheme, host string) string {
	host = strings.ToLower(host)
	name, port := host, ""
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		name, port = host[:i], host[i+1:]
	}
	name = strings.TrimSuffix(name, ".")
	if port == "" || scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		return name
	}
	return name + ":" + port
}

func joinURL(scheme, host, path, query string) string {
	u := scheme + "://" + host + path
	if query != "" {
		u += "?" + query
	}
	return u
}
