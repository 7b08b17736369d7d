package fill

import (
	"maps"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/cache/entry"
)

// WidenAcceptEncoding widens the Accept-Encoding of a fill to the codings of the route, so that one call
// serves all clients, no matter which codings they accept. A request for a part asks for no coding,
// because a part of an encoded body cannot be decoded for a client that does not accept the coding.
func (route *Route) WidenAcceptEncoding(h http.Header) {
	switch {
	case route.AcceptEncoding == "":
	case len(h["Range"]) > 0:
		h["Accept-Encoding"] = []string{"identity"}
	default:
		h["Accept-Encoding"] = []string{route.AcceptEncoding}
	}
}

// PassHeader returns the client's header for a call whose response is for this client alone. It
// keeps the client's own Accept-Encoding. With a wider one the origin might choose a coding that
// cannot be decoded, and it might not be safe to repeat the call. The caller may write to the map.
// The values are shared.
func (x *Request) PassHeader() http.Header {
	header := maps.Clone(x.HTTP.Header)
	if len(header["Range"]) > 0 && compress.Accepts(header["Accept-Encoding"], compress.Identity) {
		x.Route.WidenAcceptEncoding(header)
	}
	OriginConditions(header, x.View.Method)
	return header
}

// asksOwn reports whether the fill sends the client's own Accept-Encoding. It is true if the
// response is for this client alone, or if other responses under the key are known to be in codings
// that cannot be decoded.
func (j *Job) asksOwn() bool {
	if j.Stored != nil {
		return j.Stored.Vary.Holds("Accept-Encoding")
	}
	return j.alone || j.Vary.Holds("Accept-Encoding")
}

// negotiate sets the Accept-Encoding of the call.
func (j *Job) negotiate() {
	delete(j.Header, "Accept-Encoding")
	CopyFields(j.Header, j.Request.HTTP.Header, "Accept-Encoding")
	if !j.own {
		j.Request.Route.WidenAcceptEncoding(j.Header)
	}
}

// Narrow switches the fill to the client's own Accept-Encoding if the origin answered a wider one
// in a coding that the client does not accept and that cannot be decoded. It reports whether the
// fill must call again. The response to that call is used in any coding: the origin has seen which
// codings the client accepts (RFC 9110 §12.5.3).
func (j *Job) Narrow(a *Answer) bool {
	if j.own || a.Response == nil || j.Request.Reads(a.Response) || SameField(j.Header["Accept-Encoding"], j.Request.HTTP.Header["Accept-Encoding"]) {
		return false
	}
	j.own = true
	return true
}

// Reads reports whether the client of x can be given resp in a coding that it accepts.
func (x *Request) Reads(resp *http.Response) bool {
	if !entry.BodyAllowed(resp.StatusCode) {
		return true
	}
	if !cachepolicy.CanDecode(&x.View, resp.StatusCode, resp.Header) {
		return false
	}
	coding := compress.HeaderCoding(resp.Header)
	if coding == compress.Identity || coding == compress.Unknown {
		return true
	}
	made := x.Route.Derivable(resp.StatusCode, resp.Header, resp.ContentLength, coding)
	_, ok := compress.Negotiate(x.HTTP.Header["Accept-Encoding"], made.With(coding), x.Route.Encodings())
	return ok
}

// SameField reports whether two lists of Accept-Encoding lines accept the same codings.
func SameField(a, b []string) bool { return compress.Canonical(a) == compress.Canonical(b) }
