package cachepolicy

import "strings"

// If the gateway adds or removes a content coding, the entity tag is the origin's tag with a mark
// appended:
//
//	"v1"  ->  "v1--gzip-8c3e0f52"
//
// The bytes differ from the bytes that "v1" stands for, so a strong validator must differ too (RFC
// 9110 §8.8.3). A weak tag would never match an If-Match (§13.1.1), so no client could edit a
// representation that it read in a coding. The mark names the coding and ends in a checksum of all
// characters before it, so that an origin's own tag does not pass for a marked one. Every instance
// can read the mark, whatever it has stored.
const (
	markSign = "--"
	sumLen   = 8
)

// MarkETag returns the entity tag of a response if the gateway has changed its content coding to
// coding. tag is the origin's. A weak tag and a malformed one stay unchanged, because neither
// promises particular bytes.
func MarkETag(tag, coding string) string {
	if !isStrong(tag) {
		return tag
	}
	marked := tag[1:len(tag)-1] + markSign + coding + "-"
	sum := tagSum(marked)
	return `"` + marked + string(sum[:]) + `"`
}

// tagSum returns the FNV-1a hash of s in hexadecimal digits.
func tagSum(s string) (digits [sumLen]byte) {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	for i := range digits {
		digits[i] = "0123456789abcdef"[h>>(28-4*i)&0xf]
	}
	return digits
}

// unmark returns the text between the quotes of the origin's tag. ok is true if tag is marked. weak
// is true if tag is weak, since a cache on the way may have weakened it.
func unmark(tag string) (origin string, weak, ok bool) {
	if strings.HasPrefix(tag, "W/") {
		tag, weak = tag[2:], true
	}
	if !isStrong(tag) || len(tag) < 2+len(markSign)+1+sumLen {
		return "", weak, false
	}
	marked, sum := tag[1:len(tag)-1-sumLen], tag[len(tag)-1-sumLen:len(tag)-1]
	at := strings.LastIndex(marked, markSign)
	if at < 0 || marked[len(marked)-1] != '-' {
		return "", weak, false
	}
	if digits := tagSum(marked); sum != string(digits[:]) {
		return "", weak, false
	}
	return marked[:at], weak, true
}

// strongMatchMarked is strongMatch, except that a marked tag also matches the origin's tag in it.
func strongMatchMarked(tag, stored string) bool {
	if strongMatch(tag, stored) {
		return true
	}
	origin, weak, ok := unmark(tag)
	return ok && !weak && isStrong(stored) && stored[1:len(stored)-1] == origin
}

// weakMatchMarked is weakMatch, except that a marked tag also matches the origin's tag in it.
func weakMatchMarked(tag, stored string) bool {
	if weakMatch(tag, stored) {
		return true
	}
	origin, _, ok := unmark(tag)
	return ok && origin == opaque(stored)
}

// OriginTags returns the lines of If-Match or If-None-Match and replaces each marked tag by the
// origin's own. If no tag is marked, it returns the argument itself.
func OriginTags(lines []string) []string {
	marked := false
	var members []string
	for _, line := range lines {
		for tag, rest := nextTag(line); tag != ""; tag, rest = nextTag(rest) {
			if origin, weak, ok := unmark(tag); ok {
				marked = true
				if tag = `"` + origin + `"`; weak {
					tag = "W/" + tag
				}
			}
			members = append(members, tag)
		}
	}
	if !marked {
		return lines
	}
	return []string{strings.Join(members, ", ")}
}

// ListsTag reports whether the If-None-Match lines name the tag itself, or "*".
func ListsTag(lines []string, tag string) bool { return anyTag(lines, tag, weakMatch) }

// MatchedTag returns the entity tag for a 304 to a request with these If-None-Match lines. own is
// the tag of the response, and origin is the origin's tag from which own was made. If the lines
// name own, MatchedTag returns it. Otherwise it returns the tag that the lines name for another
// form of the same response, because a client, or a cache with several forms, must find the tag of
// its stored form (RFC 9111 §4.3.4).
func MatchedTag(lines []string, origin, own string) string {
	if ListsTag(lines, own) {
		return own
	}
	for _, line := range lines {
		for tag, rest := nextTag(line); tag != ""; tag, rest = nextTag(rest) {
			if weakMatchMarked(tag, origin) {
				return tag
			}
		}
	}
	return own
}
