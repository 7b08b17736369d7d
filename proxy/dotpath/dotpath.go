// Package dotpath finds hidden dot segments in a path.
package dotpath

import (
	"net/url"
	"strings"
)

// decodings is how often a path is decoded to find hidden segments, because some servers decode
// twice.
const decodings = 3

// Hidden reports whether some server could find a dot segment in path (RFC 3986 §5.2.4), so that
// the path leads elsewhere than it appears to. Such a server may decode the path once or more
// often, treat backslashes as slashes, or remove path parameters. Hidden may be called
// concurrently.
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
