package cachepolicy

import (
	"net/http"
	"slices"
	"strings"
)

// unstorable lists the fields that concern one connection or one hop, so the cache never stores
// them (RFC 9111 §3.1, RFC 9110 §7.6.1).
var unstorable = []string{
	"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization",
}

// fixed lists the fields that an update does not change (RFC 9111 §3.2). They describe the stored
// bytes rather than the representation as a whole, or identify them, as the entity tag does.
var fixed = []string{"Content-Encoding", "Content-Length", "Content-Range", "Content-Md5", "Content-Digest", "Etag"}

// FreshenHeader returns the stored fields after the update by a 304, a 206 or an answer to HEAD.
// Each field of the update replaces the stored fields with its name, with the exceptions of RFC
// 9111 §3.2. The result is a new map, and neither argument changes. FreshenHeader keeps fields that
// must not be stored for other reasons; StripUnstorable removes them.
func FreshenHeader(stored, update http.Header) http.Header {
	h := make(http.Header, len(stored)+len(update))
	for name, values := range stored {
		h[name] = slices.Clone(values)
	}
	delete(h, "Age") // the stored response's old age; only the update's age counts now
	listed := connectionFields(update)
	for name, values := range update {
		if slices.Contains(fixed, name) || slices.Contains(unstorable, name) || slices.Contains(listed, name) {
			continue
		}
		h[name] = slices.Clone(values)
	}
	return h
}

// StripUnstorable removes from h, in place, the fields that a shared cache must not keep (RFC 9111
// §3.1): hop-by-hop fields and the fields that Connection names, fields for a proxy, the fields
// that a qualified private or no-cache lists (§5.2.2.4, §5.2.2.7), and cookies unless the rules
// store them.
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

// Qualified returns the fields of h that private or no-cache names. They go to the requesting
// client and are neither stored nor given to other clients (RFC 9111 §5.2.2.4, §5.2.2.7). It
// returns nil if there are no such fields.
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

// connectionFields returns the names of the fields that Connection makes hop-by-hop.
func connectionFields(h http.Header) (names []string) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			names = append(names, http.CanonicalHeaderKey(trimOWS(name)))
		}
	}
	return names
}

// Personal returns the fields of a 304 that are only for the client whose request it answers:
// Set-Cookie, unless the route stores or removes it, and the fields that private or no-cache names.
// The stored response does not get them. It returns nil if there are no such fields.
func (r *Rules) Personal(update http.Header) http.Header {
	own := r.Qualified(update)
	if r.SetCookie != SetCookiePass {
		return own
	}
	for _, name := range [...]string{"Set-Cookie", "Set-Cookie2"} {
		if lines := update[name]; len(lines) > 0 {
			if own == nil {
				own = make(http.Header)
			}
			own[name] = slices.Clone(lines)
		}
	}
	return own
}
