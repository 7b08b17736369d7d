// Package dotpath finds the dot segments that hide in a path.
package dotpath

import (
	"net/url"
	"strings"
)

// decodings is how often a path is decoded to find what hides in it: some servers decode twice.
const decodings = 3

// Hidden reports whether somebody who decodes path, once or more often, who takes backslashes for slashes, or who cuts path parameters off, would find
// a dot segment in it (RFC 3986 §5.2.4), so that it leads elsewhere than it says. It may be called concurrently.
func Hidden(path string) bool {
	for range decodings + 1 {
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
