package wire

import (
	"encoding/binary"
	"strings"
)

// tokenByte is true for the bytes of a token (RFC 9110 §5.6.2).
var tokenByte = func() (t [256]bool) {
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = true, true
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()

func isToken(s string) bool {
	for i := range len(s) {
		if !tokenByte[s[i]] {
			return false
		}
	}
	return s != ""
}

// isGraphic reports whether s consists of printable ASCII without spaces.
func isGraphic(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// isTarget reports whether s has neither spaces nor control characters. The next hop escapes or
// rejects non-ASCII bytes.
func isTarget(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// isHost reports whether s has only characters of a host with a port (RFC 3986 §3.2.2). An empty s
// is valid, for a request that names no host.
func isHost(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= 0x80 || !tokenByte[c] && strings.IndexByte("(),;=:[]", c) < 0 || strings.IndexByte("#^`|", c) >= 0 {
			return false
		}
	}
	return true
}

// isText reports whether s may be a field value (RFC 9110 §5.5): no control characters except tabs.
// It inspects eight bytes at a time.
func isText(s string) bool {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	for len(s) >= 8 {
		x := binary.LittleEndian.Uint64([]byte(s[:8]))
		del := x ^ ones*0x7f
		if (x-ones*0x20)&^x&highs != 0 || (del-ones)&^del&highs != 0 {
			break // a control character or a tab: the loop below decides
		}
		s = s[8:]
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// trim removes optional whitespace from both ends.
func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// hasPrefixFold reports whether s begins with prefix, ignoring case. prefix must be in lower case.
func hasPrefixFold(s, prefix string) bool {
	if len(s) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}
