// Package stats implements `penstock stats`, which shows the figures of a running gateway in a
// terminal. It reads the admin API, whose types are in package board, and knows nothing else of the
// gateway.
package stats
