package edge

import (
	"errors"
	"strings"
)

// ErrPath says that a path is malformed, or that recipients could read it differently.
var ErrPath = errors.New("the path is malformed or ambiguous")

const upperHex = "0123456789ABCDEF"

// CanonicalPath returns the one spelling of an escaped path, which routing, cache keys and
// upstreams all see. It changes only what RFC 3986 §6.2.2 calls equivalent: it decodes escapes of
// unreserved characters, writes other escapes in upper case, and resolves dot segments. It escapes
// bytes that a path may not hold unescaped. Empty segments stay, since they name another resource
// (§3.3), and so does %2F, which is data and not a separator. It returns ErrPath for control
// characters, backslashes (some servers take them for slashes), broken escapes, and dot segments
// that only some recipients would see (after %2F, or before a ;parameter). CanonicalPath is
// idempotent.
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

// isCanonical recognises common paths: without escapes and without segments that begin with a dot.
// It may return false for a canonical path.
func isCanonical(p string) bool {
	for i := range len(p) {
		c := p[i]
		switch {
		case c == '/':
			if i+1 < len(p) && p[i+1] == '.' {
				return false
			}
		case !segmentByte(c):
			return false
		}
	}
	return true
}

// segmentByte reports whether c is a pchar of RFC 3986 §3.3, pct-encoded apart.
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

// forbidden reports whether a path may not hold c, or may hold it only escaped.
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

// resolve removes dot segments (RFC 3986 §5.2.4). Empty segments count: ".." removes one like any
// other.
func resolve(p string) (string, error) {
	kept := make([]string, 0, 8)
	for rest, more := p[1:], true; more; {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		switch {
		case segment == "..":
			kept = kept[:max(0, len(kept)-1)]
		case segment == ".":
		case hidesDots(segment):
			return "", ErrPath
		default:
			kept = append(kept, segment)
			continue
		}
		if !more {
			kept = append(kept, "") // the path names a directory
		}
	}
	return "/" + strings.Join(kept, "/"), nil
}

// MergeSlashes returns path without its empty segments, except one at the end.
func MergeSlashes(path string) string {
	at := strings.Index(path, "//")
	if at < 0 {
		return path
	}
	merged := []byte(path[:at])
	for i := at; i < len(path); i++ {
		if path[i] != '/' || i+1 == len(path) || path[i+1] != '/' {
			merged = append(merged, path[i])
		}
	}
	return string(merged)
}

// hidesDots reports whether segment contains a dot segment for a recipient that decodes %2F or cuts
// off path parameters (..;).
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
