// Package compress negotiates content codings and applies them: gzip, br and zstd behind one set of pools.
// It knows nothing of caches, routes or configuration.
//
// Two halves, kept apart. The pure half reads fields and decides: [Canonical] and [Negotiate] pick a coding from
// Accept-Encoding, [Policy.Eligible] says whether a response may and should be coded at all. The other half moves
// bytes: [Encode] and [Decode] for whole bodies, [NewWriter] and [NewReader] for streams. Every decoder is bounded
// in bytes, ratio and window, since what it reads was written by somebody else.
//
// gzip and zstd come from klauspost/compress; br from molecule-man/go-brrr, which is young, and is therefore seen
// by this package alone, behind the same two interfaces as the others.
package compress

import "strings"

// Coding is a content coding (RFC 9110 §8.4.1).
type Coding uint8

const (
	Identity Coding = iota // no coding
	Gzip                   // gzip, also known as x-gzip
	Brotli                 // br
	Zstd                   // zstd (RFC 8878, window at most 8 MiB by RFC 9659)
	Unknown                // any other, or several stacked
)

// codings is the number of codings that can be negotiated, Identity included.
const codings = int(Unknown)

// tokens holds the names by which codings are sent.
var tokens = [...]string{Identity: "identity", Gzip: "gzip", Brotli: "br", Zstd: "zstd", Unknown: "unknown"}

// String returns the coding's token, as Content-Encoding carries it.
func (c Coding) String() string {
	if int(c) < len(tokens) {
		return tokens[c]
	}
	return tokens[Unknown]
}

// ParseCoding returns the coding that a token names, whatever its case; Unknown for any other token.
// x-gzip is equivalent to gzip (RFC 9110 §8.4.1.3).
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

// CodingOf returns the coding that a Content-Encoding value says was applied. Nothing and identity are Identity;
// several stacked codings, and one that is not known here, are Unknown. For a field sent on several lines use
// [HeaderCoding].
func CodingOf(contentEncoding string) Coding {
	c := Identity
	for contentEncoding != "" {
		var member string
		member, contentEncoding, _ = strings.Cut(contentEncoding, ",")
		member = trimOWS(member)
		if member == "" {
			continue // RFC 9110 §5.6.1.2: empty members are to be ignored
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

// With returns the set with c in it.
func (s Set) With(c Coding) Set { return s | 1<<c }

// Add puts c into the set.
func (s *Set) Add(c Coding) { *s = s.With(c) }

// SetOf returns the set of the codings given.
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
