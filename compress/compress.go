// Package compress negotiates content codings and applies them: gzip, br and zstd behind one set of pools.
// It knows nothing of caches, routes or configuration.
package compress

// Coding is a content coding (RFC 9110 §8.4.1).
type Coding uint8

const (
	Identity Coding = iota // no coding
	Gzip                   // gzip, also known as x-gzip
	Brotli                 // br
	Zstd                   // zstd (RFC 8878, window at most 8 MiB by RFC 9659)
	Unknown                // any other, or several stacked
)

// Set is a set of codings.
type Set uint8
