// Package cachepolicy answers questions about HTTP caching and can do nothing. Every function is a function of its arguments:
// no clock, no randomness, no I/O, no goroutine.
package cachepolicy
