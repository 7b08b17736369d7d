package fill

import (
	"net/http"
	"strconv"

	"github.com/penstock/penstock/cachepolicy"
)

// Conditionals are the request fields that a fill removes. The gateway asks for the whole response
// and evaluates these conditions itself.
var Conditionals = [...]string{"If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range", "Range"}

// OriginConditions replaces the entity tags in a request's conditions with the origin's own tags,
// because the client may know a response by a tag that the gateway has marked. It leaves the
// If-Range of a GET or HEAD unchanged: such a request asks for bytes of the form that the client
// holds, and the origin does not have that form.
func OriginConditions(h http.Header, method string) {
	tagged := [...]string{"If-Match", "If-None-Match", "If-Range"}
	names := tagged[:]
	if method == http.MethodGet || method == http.MethodHead {
		names = tagged[:2]
	}
	for _, name := range names {
		if lines := h[name]; len(lines) > 0 {
			h[name] = cachepolicy.OriginTags(lines)
		}
	}
}

// setRange asks for the missing bytes of stored. If-Range makes the origin send them only if its
// representation is still the same (RFC 9110 §13.1.5).
func setRange(h http.Header, ask cachepolicy.Span, stored *cachepolicy.Meta) {
	value := "bytes=" + strconv.FormatInt(ask.First, 10) + "-"
	if ask.Last >= 0 {
		value += strconv.FormatInt(ask.Last, 10)
	}
	h["Range"] = []string{value}
	if tag := cachepolicy.IfRange(stored); tag != "" {
		h["If-Range"] = []string{tag}
	}
}
