// Package wire answers plain hits on the connection itself, below net/http.
//
// A [Conn] wraps a client's connection for an http.Server. While no request is in flight on it, its Read looks at the bytes that have come. Requests of
// a strict subset (GET or HEAD, HTTP/1.1, origin-form, one Host, no body, well-formed fields and none that asks for more than the stored response) are
// shown to [Hot], and if that has the answer, it is written then and there: net/http hears nothing. Anything else is handed to net/http byte for byte,
// one request at a time, so that it never sees a request before the response to the one before it is done; http.Server.ConnState tells when that is.
// Where it is not certain where a request ends, the connection is net/http's from then on.
//
// The buffer that net/http hands to Read is what requests are read into, so a connection that waits costs no more memory than without all this.
//
// HTTP/2 has a wire of its own, [H2]. Between the client and net/http's HTTP/2, it looks at all frames that come. A request that, said in HTTP/1.1, is of the same strict
// subset is shown to the same [Hot]; if there is an answer and the client's windows have room for all of it, it is written between two frames of net/http's. For
// the rest net/http is the server: it has the other streams, the settings, the pings, and the last word on what breaks the protocol. Neither side shares HPACK's tables
// or the client's window with the other: header blocks go to net/http, and answers to the client, in a form that uses no table, and the window is parted.
//
// Of requests that go to net/http those are refused here that only the raw bytes give away, because net/http repairs them: Content-Length beside
// Transfer-Encoding, folded lines, and an absolute target beside another Host (RFC 9112 §6.1, §5.2, §3.2.2).
package wire
