package cachepolicy

import (
	"net/url"
	"slices"
	"strings"
)

// Invalidates reports whether the answer to q makes the responses stored for q's own URL stale. It
// does if it is not an error and q's method is not known to be safe (RFC 9111 §4.4).
func Invalidates(q *Request, a *Answer) bool {
	return !isSafe(q.Method) && a.Failure == FailureNone && a.Status >= 200 && a.Status < 400
}

// InvalidatedURLs returns the canonical absolute URLs that the answer makes stale in addition to
// q's own: the URLs in Location and Content-Location that have q's origin. It leaves out other
// origins, so that one origin can't evict the responses of another (RFC 9111 §4.4).
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

// isSafe reports whether a method is registered as safe (RFC 9110 §9.2.1 and the method registry).
// Any other method, and any unknown one, may have changed the resource.
func isSafe(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY":
		return true
	}
	return false
}

// CanonicalURL resolves ref against base's URL (RFC 3986 §5) and returns its parts in the form that
// a Request has: the host in lower case without the scheme's default port or trailing dot, and the
// path with the reference's escapes, without dot segments and never empty. ok is false if ref is
// empty, is not an http or https URL, or carries user information. The host is empty only if base
// has no host, as a request of an HTTP/1.0 client.
func CanonicalURL(base *Request, ref string) (scheme, host, path, rawQuery string, ok bool) {
	if ref = trimOWS(ref); ref == "" {
		return "", "", "", "", false
	}
	from, err := url.Parse(joinURL(base.Scheme, base.Host, base.Path, base.RawQuery))
	if err != nil {
		return "", "", "", "", false
	}
	to, err := from.Parse(ref)
	if err != nil || to.User != nil || to.Host == "" && base.Host != "" || to.Scheme != "http" && to.Scheme != "https" {
		return "", "", "", "", false
	}
	path = to.EscapedPath()
	if path == "" {
		path = "/"
	}
	return to.Scheme, canonicalHost(to.Scheme, to.Host), path, to.RawQuery, true
}

// canonicalHost returns host in lower case, without the scheme's default port and without the
// trailing dot of the DNS root.
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
