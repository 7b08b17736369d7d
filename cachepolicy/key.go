package cachepolicy

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
)

// Key addresses all that is stored for one target URI on one route. Hash is the address, Full the injective, length-prefixed
// encoding it was made from, which is compared on every hit.
type Key struct {
	Hash [16]byte
	Full string
}

// KeyOf is the key that was encoded as full, as Key.Full gives it.
func KeyOf(full string) Key {
	sum := sha256.Sum256([]byte(full))
	return Key{Hash: [16]byte(sum[:16]), Full: full}
}

// methodGET is the method class of all keys: HEAD is answered from what GET stored, and what a POST stores is stored for GET
// (RFC 9110 §9.3.3). It is written down so that a class of its own, should there be one, can't collide with what is stored.
const methodGET = 'G'

// Key makes the key of what may answer q. A reason other than ReasonNone says that q keeps away from the cache and has no key.
func (r *Rules) Key(q *Request) (Key, Reason) {
	if why := r.keepsAway(q); why != ReasonNone {
		return Key{}, why
	}
	return r.makeKey(q, q.Scheme, q.Host, q.Path, q.RawQuery), ReasonNone
}

// KeyedByURL reports whether the keys of two requests that have one are the same whenever scheme, host, path and query are.
func (r *Rules) KeyedByURL() bool {
	return len(r.KeyHeaders)+len(r.KeyCookies) == 0 && r.Authorization != AuthorizationKey
}

// URLKey makes the key of the GET of another URL on the same route, which must be absolute and have q's host. Where the rules
// have fields or cookies in the key, the values of q stand in for those of the requests to come: no others are known.
func (r *Rules) URLKey(q *Request, absoluteURL string) (Key, bool) {
	scheme, host, path, query, ok := CanonicalURL(q, absoluteURL)
	if !ok || host != q.Host {
		return Key{}, false
	}
	return r.makeKey(q, scheme, host, path, query), true
}

// keepsAway tells why q may neither be answered from the cache nor have its answer stored under its key.
func (r *Rules) keepsAway(q *Request) Reason {
	switch {
	case q.Method != "GET" && q.Method != "HEAD":
		return ReasonMethod // RFC 9111 §4: the stored request's method must allow it
	case q.HasBody:
		return ReasonBody // RFC 9110 §9.3.1: content of a GET has no defined meaning, so no key can hold it
	case len(q.Header["Upgrade"]) > 0:
		return ReasonUpgrade // RFC 9110 §7.8: the answer may be another protocol
	case r.Authorization == AuthorizationNever && len(q.Header["Authorization"]) > 0:
		return ReasonAuthorization
	}
	return ReasonNone
}

// makeKey encodes every part with its length in front, and every list with its count, so that no part can pass for another:
// two keys are equal only if all their parts are.
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
	}
	sum := sha256.Sum256(b)
	return Key{Hash: [16]byte(sum[:16]), Full: string(b)}
}

func appendPart(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// appendLines appends the count and the lines of a field: none is not the same as an empty one.
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

// givesAccess reports the fields whose values are credentials, or may hold some.
func givesAccess(name string) bool {
	switch name {
	case "Authorization", "Proxy-Authorization", "Cookie", "Api-Key", "X-Api-Key", "X-Access-Token", "X-Auth-Token":
		return true
	}
	return false
}

// appendCookie appends the count and the values of the cookies of that name, in the order sent.
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

// appendSecret appends the digest of what gives access: keys are kept in stores, and shown, where a credential must not be.
func appendSecret(b []byte, s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return append(b, sum[:]...)
}

// cookieValues yields what the Cookie lines have after each occurrence of name, the "=" included, so that a pair without one is
// told from an empty value (RFC 6265 §4.2.1).
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
