package edge

import (
	"errors"
	"strings"
)

// ErrPath says that a path has no canonical form that every recipient would read alike.
var ErrPath = errors.New("the path is malformed or ambiguous")

const upperHex = "0123456789ABCDEF"

// CanonicalPath returns the one spelling of an escaped path that routing, cache keys and upstreams all see. RFC 3986 §6.2.2: escapes of unreserved
// characters are undone, others are in upper case, dot segments are resolved; beyond it, runs of slashes are merged, and bytes that no path may hold
// unescaped are escaped. %2F stays, as it is data and no separator. Control characters, backslashes (which some servers take for slashes), broken
// escapes, and dot segments that only some recipients would see (behind %2F, or before a ;parameter) are errors. CanonicalPath is idempotent.
func CanonicalPath(escaped string) (string, error) {
	if escaped == "" {
		return "/", nil
	}
	if escaped[0] != '/' {
		return "", ErrPath
	}
	if isCanonical(escaped) {
		return escaped, nil
	}
	spelled, err := respell(escaped)
	if err != nil {
		return "", err
	}
	return resolve(spelled)
}

// isCanonical recognises the common path, without escapes and without a segment that begins with a dot. It may say no to a canonical path.
func isCanonical(p string) bool {
	for i := range len(p) {
		c := p[i]
		switch {
		case c == '/':
			if i+1 < len(p) && (p[i+1] == '/' || p[i+1] == '.') {
				return false
			}
		case !segmentByte(c):
			return false
		}
	}
	return true
}

// segmentByte is pchar of RFC 3986 §3.3 without pct-encoded.
func segmentByte(c byte) bool { return unreserved(c) || strings.IndexByte("!$&'()*+,;=:@", c) >= 0 }

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// respell gives every byte its one spelling.
func respell(p string) (string, error) {
	var b strings.Builder
	b.Grow(len(p) + 8)
	for i := 0; i < len(p); i++ {
		c := p[i]
		escaped := c == '%'
		if escaped {
			v, ok := unescape(p[i:])
			if !ok {
				return "", ErrPath
			}
			c = v
			i += 2
		}
		if forbidden(c, escaped) {
			return "", ErrPath
		}
		if unreserved(c) || !escaped && (c == '/' || segmentByte(c)) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(upperHex[c>>4])
		b.WriteByte(upperHex[c&15])
	}
	return b.String(), nil
}

// forbidden reports bytes that no path may hold, or not unescaped.
func forbidden(c byte, escaped bool) bool {
	if c < 0x20 || c == 0x7f || c == '\\' {
		return true
	}
	return !escaped && (c == ' ' || c == '?' || c == '#')
}

func unescape(s string) (byte, bool) {
	if len(s) < 3 {
		return 0, false
	}
	hi, ok1 := unhex(s[1])
	lo, ok2 := unhex(s[2])
	return hi<<4 | lo, ok1 && ok2
}

func unhex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// resolve merges slashes and removes dot segments (RFC 3986 §5.2.4).
func resolve(p string) (string, error) {
	kept := make([]string, 0, 8)
	slash := false
	for segment := range strings.SplitSeq(p[1:], "/") {
		slash = true
		switch {
		case segment == "" || segment == ".":
		case segment == "..":
			kept = kept[:max(0, len(kept)-1)]
		case hidesDots(segment):
			return "", ErrPath
		default:
			kept = append(kept, segment)
			slash = false
		}
	}
	out := "/" + strings.Join(kept, "/")
	if slash && len(kept) > 0 {
		out += "/"
	}
	return out, nil
}

// hidesDots reports whether a recipient that decodes %2F, or that cuts path parameters off (..;), would find a dot segment in segment.
func hidesDots(segment string) bool {
	if !strings.Contains(segment, ".") || !strings.ContainsAny(segment, "%;") {
		return false
	}
	for piece := range strings.SplitSeq(segment, "%2F") {
		name, _, _ := strings.Cut(piece, ";")
		if name == "." || name == ".." {
			return true
		}
	}
	return false
}
