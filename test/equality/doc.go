// Package equality holds the two ways of answering a request against each other: by the connection itself, and by net/http and the handler. What the
// one answers must be what the other would have answered, byte for byte.
package equality
