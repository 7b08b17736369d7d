// Package upstream sends a request to one of the targets of an upstream and returns the response.
// It chooses the target, bounds the connections and every wait, removes the fields that belong to
// one hop, and gives each failure its kind.
//
// A Pool is an http.RoundTripper. It knows nothing of caching, routes or configuration files. It
// returns a response or a *fault.Error, and the caller decides what the client gets.
//
// There is one loop of attempts, in attempt.go. Each round chooses a target, acquires a slot there,
// has the target's sender send the request, and asks the pure function next whether another attempt
// follows. Retries, hedging and circuit breakers belong into these two files. A request is sent
// again in three cases only. If a connection had gone stale while it was idle, a request that can
// be sent twice without harm is sent once more. If an HTTP/2 target says that it did not process a
// request, the request is sent again. If a target accepts no connection, nothing of the request was
// sent, and the request goes to another target. A target that fails in this way, or that answers
// with nothing but errors, gets no requests for a while (standing.go).
//
// Two senders stand under the loop. Package h1 speaks HTTP/1.1 without TLS. Package std leaves
// HTTP/2, and everything over TLS, to net/http. The first exists because a gateway spends most of
// the cost of a pass-through there: net/http reads and writes each connection in goroutines of
// their own, so that a request changes goroutines four times.
//
// HTTP/1.1 over TLS stays with net/http. The cipher costs more than h1 would save, and a TLS
// connection does not show from outside whether it holds bytes that answer no request, such as
// session tickets or a second response. net/http's reader sees that. Two other ways were rejected:
// the Transport cannot be kept from its goroutines, and fasthttp's client has neither interim
// responses, trailers nor streaming in both directions.
package upstream
