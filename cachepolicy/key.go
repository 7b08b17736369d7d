package cachepolicy

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
)

// Key addresses all responses that are stored for one target URI on one route. Full is an injective
// encoding with length prefixes. Hash is the address, made from Full. The cache compares Full on
// every hit.
type Key struct {
	Hash [16]byte
	Full string
}

// KeyOf returns the key whose Full is the given encoding.
func KeyOf(full string) Key {
	sum := sha256.Sum256([]byte(full))
	return Key{Hash: [16]byte(sum[:16]), Full: full}
}

// methodGET is the method class of all keys. HEAD is answered from a stored GET response, and a
// stored response to POST is stored for GET (RFC 9110 §9.3.3). The key includes it so that a later
// class of another method can't collide with existing keys.
const methodGET = 'G'

// Key returns the key of the responses that may answer q. If the reason is not ReasonNone, q must
// bypass the cache and has no key.
func (r *Rules) Key(q *Request) (Key, Reason) {
	if why := r.bypassReason(q); why != ReasonNone {
		return Key{}, why
	}
	return r.makeKey(q, q.Scheme, q.Host, q.Path, q.RawQuery), ReasonNone
}

// KeyAt is Key for a request whose URL has the given key already, by rules that are KeyedByURL.
func (r *Rules) KeyAt(q *Request, known Key) (Key, Reason) {
	if why := r.bypassReason(q); why != ReasonNone {
		return Key{}, why
	}
	return known, ReasonNone
}

// KeyedByURL reports whether scheme, host, path and query alone determine the key of a request that
// has one.
func (r *Rules) KeyedByURL() bool {
	return len(r.KeyHeaders)+len(r.KeyCookies) == 0 && r.Authorization != AuthorizationKey
}

// URLKey returns the key of a GET for another URL on the same route. The URL must be absolute and
// have q's host. If the rules put fields or cookies into the key, the key gets the values of q,
// since later requests' values are unknown.
func (r *Rules) URLKey(q *Request, absoluteURL string) (Key, bool) {
	scheme, host, path, query, ok := CanonicalURL(q, absoluteURL)
	if !ok || host != q.Host {
		return Key{}, false
	}
	return r.makeKey(q, scheme, host, path, query), true
}

// bypassReason returns the reason why the cache must neither answer q nor store its answer under its
// key. It returns ReasonNone if the cache may handle q.
func (r *Rules) bypassReason(q *Request) Reason {
	switch {
	case q.Method != "GET" && q.Method != "HEAD":
		return ReasonMethod // RFC 9111 §4: the stored request's method must allow it
	case q.HasBody:
		return ReasonBody // RFC 9110 §9.3.1: content of a GET has no defined meaning, so no key can include it
	case len(q.Header["Upgrade"]) > 0:
		return ReasonUpgrade // RFC 9110 §7.8: the answer may be in another protocol
	case r.Authorization == AuthorizationNever && q.HasAuthorization():
		return ReasonAuthorization
	case r.Cookies == CookiesBypass && r.hasCookie(q):
		return ReasonCookieBypass
	}
	return ReasonNone
}

// makeKey encodes every part with its length in front and every list with its count in front, so
// that no part can pass for another. Two keys are equal only if all their parts are equal.
func (r *Rules) makeKey(q *Request, scheme, host, path, query string) Key {
	var space [512]byte // on the stack; longer keys grow on the heap
	b := append(space[:0], methodGET)
	b = appendPart(b, r.Route)
	b = appendPart(b, scheme)
	b = appendPart(b, host)
	b = appendPart(b, path)
	b = appendPart(b, r.KeyQuery(query))
	b = binary.AppendUvarint(b, uint64(len(r.KeyHeaders)))
	for _, name := range r.KeyHeaders {
		b = appendPart(b, name)
		b = appendLines(b, name, q.Header[name])
	}
	b = binary.AppendUvarint(b, uint64(len(r.KeyCookies)))
	for _, name := range r.KeyCookies {
		b = appendPart(b, name)
		b = appendCookie(b, q.Header["Cookie"], name)
	}
	if r.Authorization == AuthorizationKey {
		b = append(b, 'A')
		b = appendLines(b, "Authorization", q.Header["Authorization"])
		if q.Credential != "" {
			b = append(b, 'C')
			b = appendSecret(b, q.Credential)
		}
	}
	if r.Sharing != "" {
		b = append(b, 'S')
		b = appendPart(b, r.Sharing)
	}
	sum := sha256.Sum256(b)
	return Key{Hash: [16]byte(sum[:16]), Full: string(b)}
}

func appendPart(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// appendLines appends the count and the lines of a field, so that an absent field differs from an
// empty one.
func appendLines(b []byte, name string, lines []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(lines)))
	for _, line := range lines {
		if givesAccess(name) {
			b = appendSecret(b, line)
		} else {
			b = appendPart(b, line)
		}
	}
	return b
}

// givesAccess reports whether the values of a field are, or may hold, credentials.
func givesAccess(name string) bool {
	switch name {
	case "Authorization", "Cookie":
		return true
	}
	return IdentifiesUser(name)
}

// appendCookie appends the count and the values of the cookies with that name, in the order sent.
func appendCookie(b []byte, lines []string, name string) []byte {
	n := uint64(0)
	for range cookieValues(lines, name) {
		n++
	}
	b = binary.AppendUvarint(b, n)
	for value := range cookieValues(lines, name) {
		b = appendSecret(b, value)
	}
	return b
}

// appendSecret appends the digest of a credential. Stores hold keys and tools show them, and
// neither may reveal the credential.
func appendSecret(b []byte, s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return append(b, sum[:]...)
}

// cookieValues yields the text after each occurrence of name in the Cookie lines. The text includes
// the "=", so that a pair without "=" differs from an empty value (RFC 6265 §4.2.1).
func cookieValues(lines []string, name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, line := range lines {
			for line != "" {
				var pair string
				pair, line, _ = strings.Cut(line, ";")
				pair = trimOWS(pair)
				if key, _, _ := strings.Cut(pair, "="); trimOWS(key) == name && !yield(pair[len(key):]) {
					return
				}
			}
		}
	}
}
