package cachepolicy

import (
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"net/http"
	"slices"
	"strings"
)

// Vary is an opaque, canonical encoding of the field names on which a response varies and of the
// normalised values that its request had (RFC 9111 §4.1). Equal strings select the same variant.
// The empty Vary matches every request.
//
// For each name, in order, it holds the length of the name and the name. Then it holds 0 if the
// request had no such field, and otherwise the value's length plus 1 and the value. The lengths
// come first, so a value can't pass for another name. If a field gives access, the value is a
// digest. The value of Accept-Encoding may instead be a mark and the coding that a client must
// accept (see variant).
type Vary string

// MakeVary encodes the values that q has of the fields in the Vary lines of h. It reports false if
// the cache can't know which other requests match: the lines contain "*" (RFC 9111 §4.1) or a
// member that is not a field name.
func (r *Rules) MakeVary(q *Request, h http.Header) (Vary, bool) {
	lines := h["Vary"]
	if len(lines) == 0 {
		return "", true
	}
	names, ok := r.varyNames(lines)
	if !ok {
		return "", false
	}
	return makeVary(q, names, ""), true
}

// variant is MakeVary for a response, with the given status and fields, that the cache will store.
// If the gateway can't remove the response's coding, the coding selects the response, even if Vary
// does not name Accept-Encoding: only clients that accept the coding get it. If the origin sent the
// coding although q does not accept it, requests with the same field value as q select the
// response.
func (r *Rules) variant(q *Request, status int, h http.Header) (Vary, bool) {
	coding := FixedCoding(status, h)
	if coding == "" {
		return r.MakeVary(q, h)
	}
	var names []string
	if lines := h["Vary"]; len(lines) > 0 {
		var ok bool
		if names, ok = r.varyNames(lines); !ok {
			return "", false
		}
	}
	at, named := slices.BinarySearch(names, acceptEncoding)
	if !named {
		names = slices.Insert(names, at, acceptEncoding)
		if acceptsCodings(q.Header[acceptEncoding], coding) {
			return makeVary(q, names, coding), true
		}
	}
	return makeVary(q, names, ""), true
}

// makeVary encodes the values that q has of the named fields. The names must be sorted. If coding
// is not "", the selector of Accept-Encoding holds it instead of a value.
func makeVary(q *Request, names []string, coding string) Vary {
	var space [512]byte
	b := space[:0]
	for _, name := range names {
		b = appendPart(b, name)
		if coding != "" && name == acceptEncoding {
			b = appendFixed(b, coding)
		} else {
			b = appendVariantValue(b, name, q.Header[name])
		}
	}
	return Vary(b)
}

func appendFixed(b []byte, coding string) []byte {
	b = binary.AppendUvarint(b, uint64(len(fixedMark)+len(coding))+1)
	return append(append(b, fixedMark...), coding...)
}

// For returns the variant of q if responses vary as v does: it encodes the values that q has of v's
// fields.
func (v Vary) For(q *Request) Vary {
	if v == "" {
		return ""
	}
	var space [512]byte
	b := space[:0]
	for v != "" {
		s, rest, ok := v.next()
		if !ok {
			return Vary(b)
		}
		b = appendPart(b, s.name)
		if coding, fixed := s.fixed(); fixed && acceptsCodings(q.Header[s.name], coding) {
			b = appendFixed(b, coding)
		} else {
			b = appendVariantValue(b, s.name, q.Header[s.name])
		}
		v = rest
	}
	return Vary(b)
}

// Holds reports whether v contains the field with the given canonical name.
func (v Vary) Holds(name string) bool {
	for n := range v.Names() {
		if n == name {
			return true
		}
	}
	return false
}

// varyNames returns the canonical field names of all Vary lines, sorted and without duplicates. It
// omits fields that the key covers already. It reports false for "*" and for a member that is not a
// field name.
func (r *Rules) varyNames(lines []string) ([]string, bool) {
	var names []string
	for _, line := range lines {
		for member := range strings.SplitSeq(line, ",") {
			member = trimOWS(member)
			switch {
			case member == "":
				continue // RFC 9110 §5.6.1.2
			case member == "*" || !isToken(member):
				return nil, false
			}
			names = append(names, http.CanonicalHeaderKey(member))
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return slices.DeleteFunc(names, func(name string) bool {
		// Host is part of every key. A gateway that transcodes keeps all codings in one entry and
		// picks one at delivery.
		return name == "Host" || r.Transcodes && name == "Accept-Encoding"
	}), true
}

// appendVariantValue appends the normalised value of a field. An absent field differs from an empty
// one.
func appendVariantValue(b []byte, name string, lines []string) []byte {
	if len(lines) == 0 {
		return append(b, 0)
	}
	var space [256]byte
	value := appendSelecting(space[:0], name, lines)
	b = binary.AppendUvarint(b, uint64(len(value))+1)
	return append(b, value...)
}

// appendSelecting appends the normal form of the lines of a field, or its digest if the field gives
// access (see appendSecret).
func appendSelecting(dst []byte, name string, lines []string) []byte {
	start := len(dst)
	dst = appendNormal(dst, name, lines)
	if !givesAccess(name) {
		return dst
	}
	sum := sha256.Sum256(dst[start:])
	return append(dst[:start], sum[:]...)
}

// Matches reports whether q has the values that v encodes (RFC 9111 §4.1). A damaged encoding
// matches no request.
func (v Vary) Matches(q *Request) bool {
	for v != "" {
		s, rest, ok := v.next()
		if !ok || !s.matches(q.Header[s.name]) {
			return false
		}
		v = rest
	}
	return true
}

// Names yields the canonical names of v's fields in order.
func (v Vary) Names() iter.Seq[string] {
	return func(yield func(string) bool) {
		for v != "" {
			s, rest, ok := v.next()
			if !ok || !yield(s.name) {
				return
			}
			v = rest
		}
	}
}

// selector is one field of a Vary: the name, and the normalised value in the response's request, if
// present.
type selector struct {
	name    string
	value   string
	present bool
}

// fixed returns the content coding in the selector. ok is false if the selector holds a field
// value.
func (s selector) fixed() (coding string, ok bool) {
	if !s.present {
		return "", false
	}
	return strings.CutPrefix(s.value, fixedMark)
}

// next decodes the first selector and returns the rest.
func (v Vary) next() (selector, Vary, bool) {
	n, rest, ok := cutUvarint(string(v))
	if !ok || n > uint64(len(rest)) {
		return selector{}, "", false
	}
	s := selector{name: rest[:n]}
	n, rest, ok = cutUvarint(rest[n:])
	if !ok || n > uint64(len(rest))+1 {
		return selector{}, "", false
	}
	if n > 0 {
		s.present = true
		s.value, rest = rest[:n-1], rest[n-1:]
	}
	return s, Vary(rest), true
}

// matches reports whether the lines of a request normalise to the selector's value.
func (s selector) matches(lines []string) bool {
	if len(lines) == 0 || !s.present {
		return len(lines) == 0 && !s.present
	}
	if coding, ok := s.fixed(); ok {
		return acceptsCodings(lines, coding)
	}
	// Normalising a normal form does not change it, so a line that equals the normal value matches.
	// For a field that gives access this shortcut is wrong: a client that sends the digest has not
	// sent the credential.
	if len(lines) == 1 && lines[0] == s.value && !givesAccess(s.name) {
		return true
	}
	var space [256]byte
	return string(appendSelecting(space[:0], s.name, lines)) == s.value
}

// cutUvarint decodes the number at the front of s. It takes a string, so unlike encoding/binary it
// needs no copy.
func cutUvarint(s string) (uint64, string, bool) {
	var n uint64
	for i := 0; i < len(s) && i < binary.MaxVarintLen64; i++ {
		c := s[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			return 0, "", false
		}
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return n, s[i+1:], true
		}
	}
	return 0, "", false
}
