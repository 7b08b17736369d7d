package hop

import (
	"io"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// TrailerNames are the names of the trailers that may go on, in order.
func TrailerNames(trailer http.Header) []string {
	var names []string
	for name := range Announced(trailer) {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// BodyOf is the body of r, or nil if r has no body.
func BodyOf(r *http.Request) io.ReadCloser {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 && Bodyless(r.Method) {
		return nil
	}
	return r.Body
}

// BodySize is how much r's body announces; -1: it does not say.
func BodySize(r *http.Request) int64 {
	if r.ContentLength > 0 {
		return r.ContentLength
	}
	return -1
}

// ExpectsContinue reports whether the client waits for 100 (Continue) before it sends the body.
func ExpectsContinue(h http.Header) bool {
	return len(h["Expect"]) > 0 && httpguts.HeaderValuesContainsToken(h["Expect"], "100-continue")
}

// Bodyless reports whether requests with this method usually have no body.
func Bodyless(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions || method == http.MethodDelete
}

// Announced copies the names of the trailers that may go on. Their values are known when the body
// has been read.
func Announced(trailer http.Header) http.Header {
	var out http.Header
	for name := range trailer {
		if EndsHere(name) || Framing[name] || unremovable[name] || strings.HasPrefix(name, "X-Forwarded-") {
			continue // RFC 9110 §6.5.1: nothing that decides about routing, framing or authority
		}
		if out == nil {
			out = make(http.Header, len(trailer))
		}
		out[name] = nil
	}
	return out
}

// Lasting reports whether a response is a stream that may be silent for as long as it likes, as an
// upgraded connection may: an event stream, the pictures of a camera, or the answer to a gRPC call.
func Lasting(h http.Header) bool {
	kind := mediaType(h)
	return kind == "text/event-stream" || kind == "multipart/x-mixed-replace" || isRPC(kind)
}

// Converses reports whether a request may be one half of a conversation, whose client sends nothing
// before it has heard from the server: a gRPC call, or one of Connect's streams.
func Converses(h http.Header) bool { return isRPC(mediaType(h)) }

func isRPC(kind string) bool {
	for _, name := range [...]string{"application/grpc", "application/connect"} {
		if rest, ok := strings.CutPrefix(kind, name); ok && (rest == "" || rest[0] == '+') {
			return true
		}
	}
	return false
}

// mediaType is the type of a message without its parameters, in lower case.
func mediaType(h http.Header) string {
	values := h["Content-Type"]
	if len(values) == 0 {
		return ""
	}
	kind, _, _ := strings.Cut(values[0], ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

// BodyAllowed reports whether a response with the given status, to a request with the given method,
// has a body.
func BodyAllowed(method string, status int) bool {
	return method != http.MethodHead && status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// CloseBody closes the body of a request that is not sent.
func CloseBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close() // the request is refused already
	}
}
