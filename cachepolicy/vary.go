package cachepolicy

import (
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"net/http"
	"slices"
	"strings"
)

// Vary is an opaque, canonical encoding of the field names a response varies on and the normalised values its request had
// (RFC 9111 §4.1). Equal strings select the same variant. The empty Vary matches every request.
//
// For each name, in order: its length, the name, then 0 when the request had no such field, else 1 more than the value's length
// and the value. The lengths are in front, so no value can pass for another name. Of a field that gives access the value is a digest.
type Vary string

// MakeVary encodes what the Vary lines of h say about the request q. It is false when no other request can be known to match:
// "*" anywhere (RFC 9111 §4.1), or a member that is no field name, so that what selects the response can't be told.
func (r *Rules) MakeVary(q *Request, h http.Header) (Vary, bool) {
	lines := h["Vary"]
	if len(lines) == 0 {
		return "", true
	}
	names, ok := r.varyNames(lines)
	if !ok {
		return "", false
	}
	var space [512]byte
	b := space[:0]
	for _, name := range names {
		b = appendPart(b, name)
		b = appendVariantValue(b, name, q.Header[name])
	}
	return Vary(b), true
}

// varyNames gives the canonical field names of all Vary lines, sorted and each once, without those that the key already holds.
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
		// Host is part of every key. A gateway that transcodes holds all codings in one entry and picks at delivery.
		return name == "Host" || r.Transcodes && name == "Accept-Encoding"
	}), true
}

// appendVariantValue appends the normalised value of a field. It is told from an absent one even when empty.
func appendVariantValue(b []byte, name string, lines []string) []byte {
	if len(lines) == 0 {
		return append(b, 0)
	}
	var space [256]byte
	value := appendSelecting(space[:0], name, lines)
	b = binary.AppendUvarint(b, uint64(len(value))+1)
	return append(b, value...)
}

// appendSelecting appends what stands for the lines of a field: their normal form, or its digest where that gives access (see appendSecret).
func appendSelecting(dst []byte, name string, lines []string) []byte {
	start := len(dst)
	dst = appendNormal(dst, name, lines)
	if !givesAccess(name) {
		return dst
	}
	sum := sha256.Sum256(dst[start:])
	return append(dst[:start], sum[:]...)
}

// Matches reports whether q has the values that v was made of (RFC 9111 §4.1). An encoding that is damaged matches nothing.
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

// Names yields the canonical names of the fields that v holds, in order.
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

// selector is one field of a Vary: the name, and the normalised value its request had, if any.
type selector struct {
	name    string
	value   string
	present bool
}

// next decodes the first selector.
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
	// What is normal stays so, hence a line that equals the normal value has it. Who sends a digest has not sent what it is of.
	if len(lines) == 1 && lines[0] == s.value && !givesAccess(s.name) {
		return true
	}
	var space [256]byte
	return string(appendSelecting(space[:0], s.name, lines)) == s.value
}

// cutUvarint decodes the number at the front of s. Unlike encoding/binary it takes a string and so copies nothing.
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
