// Package stats is `penstock stats`: what a running gateway does, in a terminal. It reads the admin API, whose words are those of package board, and
// knows nothing else of the gateway.
package stats
