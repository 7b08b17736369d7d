// Package wire answers plain hits directly on the connection, below net/http.
//
// A [Conn] wraps a client's connection for an http.Server. While no request is in flight, its Read
// inspects the received bytes. If a request belongs to a strict subset (GET or HEAD, HTTP/1.1,
// origin-form, one Host, no body, and well-formed fields that ask for no more than the stored
// response), it is passed to [Hot]. If Hot has a response, that is written at once, and net/http
// never sees the request. All other requests are handed to net/http unchanged, one at a time:
// net/http gets a request only after the response to the one before is complete, which
// http.Server.ConnState reports. If the bytes are not an HTTP/1 request, net/http has the
// connection from then on.
//
// Requests are read into the buffer that net/http passes to Read, so an idle connection takes no
// more memory than without a wire.
//
// HTTP/2 has a wire of its own, [H2]. It sits between the client and net/http's HTTP/2 server and
// inspects all received frames. If a request, translated to HTTP/1.1, belongs to the same strict
// subset, it is passed to the same [Hot]. If there is a response that fits into the client's
// windows, it is written between two frames of net/http. For everything else net/http is the
// server: the other streams, the settings, the pings, and protocol errors. The two sides share
// neither HPACK's tables nor the client's window: header blocks to net/http and responses to the
// client use no dynamic table, and the window is divided.
//
// The wire also guards net/http, including listeners without a Hot (see [Attach]). It rejects
// requests that are malformed or ambiguous and that net/http would silently repair: Content-Length
// beside Transfer-Encoding, Transfer-Encoding in HTTP/1.0, folded lines (RFC 9112 §6.1, §5.2). It
// follows chunked bodies while net/http reads them, so that it knows where they end and that no
// trailer or extension hides a request (§7.1). So the response to a request never depends on the
// listener, on earlier requests of the connection, or on lines that end in LF alone.
//
// If net/http closes a connection whose client may still be sending, the wire continues to read for
// a while before it closes (§9.6). A client that writes its whole request before it reads must be
// able to see an early response.
package wire
