// Package h1 sends requests over HTTP/1.1 without TLS (RFC 9112) and reads the responses. It makes
// one attempt at a time and never decides whether another one follows.
//
// An attempt runs in its caller's goroutine. net/http's Transport takes two more goroutines for
// each connection, a context and timers for each request, and two buffers that an idle connection
// keeps. Here the connection's read deadline is the clock, and a header section becomes one string,
// of which the names and values are parts.
//
// The package accepts the responses that net/http accepts, or fewer. A fuzz target compares the
// two.
package h1
