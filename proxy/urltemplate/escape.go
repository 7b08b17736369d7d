package urltemplate

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// MaxValue is how many bytes a value may have: it is an identifier, no document.
const MaxValue = 1024

var (
	// ErrEscape says that a value would have made the path lead elsewhere than the template says.
	ErrEscape = errors.New("a value would leave its place in the path")
	// ErrEmpty says that there is nothing to put in: /users/{id} would become /users/, which is something else.
	ErrEmpty = errors.New("the value is empty")
	// ErrValue says that a value is none that a URL should hold.
	ErrValue = errors.New("the value is not fit for a URL")
)

func appendValues(b *strings.Builder, values []string) error {
	if len(values) == 0 {
		return ErrEmpty
	}
	for i, v := range values {
		if err := CheckValue(v); err != nil {
			return err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		escape(b, v)
	}
	return nil
}

// CheckValue refuses values that have no place in a URL: empty and very long ones, control characters, and bytes that are no text.
func CheckValue(v string) error {
	switch {
	case v == "":
		return ErrEmpty
	case len(v) > MaxValue:
		return fmt.Errorf("%w: it has more than %d bytes", ErrValue, MaxValue)
	case !utf8.ValidString(v):
		return fmt.Errorf("%w: it is not UTF-8", ErrValue)
	case strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%w: it has a control character", ErrValue)
	}
	return nil
}

// Escaped is how a value is written in a path or a query.
func Escaped(v string) string {
	var b strings.Builder
	escape(&b, v)
	return b.String()
}

// escape writes all but unreserved characters (RFC 3986 §2.3) as percent escapes, in paths and in queries: then nothing in a value is a delimiter to anybody.
func escape(b *strings.Builder, v string) {
	const hex = "0123456789ABCDEF"
	for i := range len(v) {
		c := v[i]
		if unreserved(c) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// fixedByte reports what may stand in a template as it is: pchar and / (RFC 3986 §3.3), in a query also ?.
func fixedByte(c byte, query bool) bool {
	return unreserved(c) || strings.IndexByte("!$&'()*+,;=:@/", c) >= 0 || query && c == '?'
}

func isEscape(s string) bool { return len(s) >= 3 && isHex(s[1]) && isHex(s[2]) }

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// maxDecodings is how often a path is decoded to find what hides in it: some servers decode twice.
const maxDecodings = 3

// hasDots reports whether somebody who decodes path, once or more often, who takes backslashes for slashes, or who cuts path parameters off, would
// find a dot segment in it.
func hasDots(path string) bool {
	for range maxDecodings + 1 {
		for segment := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == '\\' }) {
			name, _, _ := strings.Cut(segment, ";")
			if name == "." || name == ".." {
				return true
			}
		}
		plain, err := url.PathUnescape(path)
		if err != nil || plain == path {
			return false
		}
		path = plain
	}
	return false
}
