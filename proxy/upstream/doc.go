// Package upstream sends a request to one of the targets of an upstream and brings its answer back: it picks the target, keeps and bounds the
// connections, bounds every wait, removes what belongs to one hop, and says of each failure what kind it was.
//
// A Pool is an http.RoundTripper. It knows nothing of caching, routes or configuration files, and it never decides what a client is told:
// it returns the answer or an *Error, and the caller chooses. It does not try again, with one exception: a request that met a connection
// which had gone stale while it was idle, and that can be sent twice without harm, is sent once more.
//
// There are two ways to a target. HTTP/2, and whatever runs over TLS, is net/http's Transport (an exchange). HTTP/1.1 in the clear is spoken here
// (a trip over a line, read by package h1), because a gateway spends most of what a pass-through costs on that way: net/http reads and writes each
// connection in goroutines of their own, so that a request changes goroutines four times, and it takes a context, timers and two buffers for each. A
// trip runs in its caller's goroutine: it looks at the connection, writes and waits in one turn at the poller, and the connection's deadline, moved
// seldom, is its clock. It takes a fifth of the allocations and about half of the time.
//
// What was weighed: to tune the Transport, which can't be kept from its goroutines; fasthttp's client, which has neither interim responses, trailers
// nor streaming of both directions at once, and types of its own for all; and to speak HTTP/1.1 over TLS here too. That was left: the cipher costs more
// there than what is saved, and whether a TLS connection holds bytes that answer nothing, as session tickets or as a second response, can't be seen
// from outside. net/http's reader sees it.
package upstream
