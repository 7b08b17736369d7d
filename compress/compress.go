// Package compress negotiates content codings and applies them: gzip, br and zstd, with shared
// pools. It knows nothing of caches, routes or configuration.
//
// The package has two separate halves. The pure half reads fields and decides: [Canonical] and
// [Negotiate] choose a coding from Accept-Encoding, and [Policy.Eligible] says whether a response
// may and should be compressed. The other half processes bytes: [Encode] and [Decode] for whole
// bodies, [NewWriter] and [NewReader] for streams. Every decoder bounds bytes, ratio and window,
// since its input is untrusted.
//
// gzip and zstd come from klauspost/compress, and br from molecule-man/go-brrr. The latter is
// young, so only this package imports it, behind the same two interfaces as the others.
package compress

import "strings"

// Coding is a content coding (RFC 9110 §8.4.1).
type Coding uint8

const (
	Identity Coding = iota // no coding
	Gzip                   // gzip, also known as x-gzip
	Brotli                 // br
	Zstd                   // zstd (RFC 8878, window at most 8 MiB by RFC 9659)
	Unknown                // any other coding, or several stacked ones
)

// codings is the number of codings that can be negotiated, including Identity.
const codings = int(Unknown)

// tokens holds the names of the codings in fields.
var tokens = [...]string{Identity: "identity", Gzip: "gzip", Brotli: "br", Zstd: "zstd", Unknown: "unknown"}

// String returns the coding's token in Content-Encoding.
func (c Coding) String() string {
	if int(c) < len(tokens) {
		return tokens[c]
	}
	return tokens[Unknown]
}

// ParseCoding returns the coding with the given token, in any case. It returns Unknown for any
// other token. x-gzip is equivalent to gzip (RFC 9110 §8.4.1.3).
func ParseCoding(token string) Coding {
	for c := Identity; c < Unknown; c++ {
		if strings.EqualFold(token, tokens[c]) {
			return c
		}
	}
	if strings.EqualFold(token, "x-gzip") {
		return Gzip
	}
	return Unknown
}

// CodingOf returns the coding that a Content-Encoding value names. An empty value and identity give
// Identity. Several stacked codings, and an unknown coding, give Unknown. For a field on several
// lines use [HeaderCoding].
func CodingOf(contentEncoding string) Coding {
	c := Identity
	for contentEncoding != "" {
		var member string
		member, contentEncoding, _ = strings.Cut(contentEncoding, ",")
		member = trimOWS(member)
		if member == "" {
			continue // RFC 9110 §5.6.1.2: empty members are ignored
		}
		next := ParseCoding(member)
		if next == Identity {
			continue
		}
		if c != Identity {
			return Unknown
		}
		c = next
	}
	return c
}

// Set is a set of codings.
type Set uint8

// Has reports whether c is in the set.
func (s Set) Has(c Coding) bool { return s&(1<<c) != 0 }

// With returns the set with c added.
func (s Set) With(c Coding) Set { return s | 1<<c }

// Add adds c to the set.
func (s *Set) Add(c Coding) { *s = s.With(c) }

// SetOf returns the set of the given codings.
func SetOf(list ...Coding) Set {
	var s Set
	for _, c := range list {
		s.Add(c)
	}
	return s
}

// trimOWS removes optional whitespace (RFC 9110 §5.6.3) from both ends.
func trimOWS(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
