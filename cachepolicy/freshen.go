package cachepolicy

import (
	"net/http"
	"slices"
	"strings"
)

// unstorable are the fields that concern one connection or one hop and are never stored (RFC 9111 §3.1, RFC 9110 §7.6.1).
var unstorable = []string{
	"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization",
}

// fixed are the fields that stay with the stored content when an update comes (RFC 9111 §3.2): those that describe the bytes held
// and not the representation as a whole, and the entity tag by which they are known.
var fixed = []string{"Content-Encoding", "Content-Length", "Content-Range", "Content-Md5", "Content-Digest", "Etag"}

// FreshenHeader gives the stored fields as the update of a 304, a 206 or an answer to HEAD makes them: each field of the update
// replaces those of its name, with the exceptions of RFC 9111 §3.2. The result is a new map; neither argument is changed.
// What may not be stored for other reasons is for StripUnstorable to remove.
func FreshenHeader(stored, update http.Header) http.Header {
	h := make(http.Header, len(stored)+len(update))
	for name, values := range stored {
		h[name] = slices.Clone(values)
	}
	delete(h, "Age") // it told the age of what was stored; what counts now is the update's
	listed := connectionFields(update)
	for name, values := range update {
		if slices.Contains(fixed, name) || slices.Contains(unstorable, name) || slices.Contains(listed, name) {
			continue
		}
		h[name] = slices.Clone(values)
	}
	return h
}

// StripUnstorable removes from h, in place, what a shared cache must not keep (RFC 9111 §3.1): hop-by-hop fields and those that
// Connection names, fields for a proxy, those that a qualified private or no-cache lists (§5.2.2.4, §5.2.2.7), and cookies unless
// the rules store them.
func (r *Rules) StripUnstorable(h http.Header) {
	for _, name := range connectionFields(h) {
		delete(h, name)
	}
	for _, name := range unstorable {
		delete(h, name)
	}
	c := r.control(h)
	for _, name := range slices.Concat(c.private, c.noCache) {
		delete(h, name)
	}
	if r.SetCookie != SetCookieStore {
		delete(h, "Set-Cookie")
		delete(h, "Set-Cookie2")
	}
}

// Qualified are the fields of h that private or no-cache name: they go to the client that asked, and are neither stored nor given to others
// (RFC 9111 §5.2.2.4, §5.2.2.7). It is nil where there are none.
func (r *Rules) Qualified(h http.Header) http.Header {
	var named http.Header
	c := r.control(h)
	for _, name := range slices.Concat(c.private, c.noCache) {
		if lines := h[name]; len(lines) > 0 {
			if named == nil {
				named = make(http.Header)
			}
			named[name] = lines
		}
	}
	return named
}

// connectionFields are the fields that Connection makes hop-by-hop.
func connectionFields(h http.Header) (names []string) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			names = append(names, http.CanonicalHeaderKey(trimOWS(name)))
		}
	}
	return names
}
