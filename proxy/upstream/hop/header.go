package hop

import (
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Framing are fields of a request that follow from the message itself.
var Framing = map[string]bool{"Content-Length": true, "Host": true}

// unremovable are the fields that a Connection option of a response cannot remove. They are for
// every recipient (RFC 9110 §7.6.1). If a cache lost them, it would store responses that it must
// not store.
var unremovable = map[string]bool{
	"Age": true, "Authorization": true, "Cache-Control": true, "Cdn-Cache-Control": true, "Content-Encoding": true, "Content-Length": true, "Content-Range": true,
	"Content-Type": true, "Cookie": true, "Date": true, "Etag": true, "Expires": true, "Forwarded": true, "Host": true, "Last-Modified": true, "Location": true, "Pragma": true,
	"Set-Cookie": true, "Vary": true, "Via": true, "Www-Authenticate": true, "X-Real-Ip": true,
}

// EndsHere reports whether the field with this canonical name ends at each hop (RFC 9110 §7.6.1),
// or is written by the transport.
func EndsHere(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings":
		return true
	}
	return false
}

// Named reports the fields that the Connection field of h names and that may be removed, or nil.
func Named(h http.Header) map[string]bool {
	var names map[string]bool
	for _, line := range h["Connection"] {
		for option := range strings.SplitSeq(line, ",") {
			name := textproto.CanonicalMIMEHeaderKey(textproto.TrimString(option))
			if name == "" || EndsHere(name) || unremovable[name] || strings.HasPrefix(name, "X-Forwarded-") {
				continue
			}
			if names == nil {
				names = make(map[string]bool, 2)
			}
			names[name] = true
		}
	}
	return names
}

// EndToEnd copies the fields of a request that go on to the next hop. The values are shared with h.
func EndToEnd(h http.Header) http.Header {
	drop := Named(h)
	out := make(http.Header, len(h)+4)
	for name, values := range h {
		if !EndsHere(name) && !Framing[name] && !drop[name] {
			out[name] = values
		}
	}
	return out
}

// Strip removes the fields that end at this hop from a response's header, in place.
func Strip(h http.Header) {
	drop := Named(h)
	for name := range h {
		if EndsHere(name) || drop[name] {
			delete(h, name)
		}
	}
}

// pseudonym is the gateway's name in Via (RFC 9110 §7.6.3).
const pseudonym = "penstock"

// MaxPasses is how often one request may pass through gateways of this name: more than any sensible
// chain of them has.
const MaxPasses = 8

// trailable reports whether the field with this canonical name may be in the trailer section of a
// response: it decides neither about framing, routing, authority or content, nor about how a cache
// has to treat the response (RFC 9110 §6.5.1). An ETag may be known at the end alone (§8.8.3).
func trailable(name string) bool {
	switch name {
	case "Etag":
		return true
	case "Clear-Site-Data", "Content-Disposition", "Content-Security-Policy", "Expect", "Max-Forwards", "Range", "Retry-After", "Strict-Transport-Security",
		"Surrogate-Control", "Surrogate-Key":
		return false
	}
	return !EndsHere(name) && !Framing[name] && !unremovable[name] && !strings.HasPrefix(name, "X-Forwarded-") && !strings.HasPrefix(name, "Access-Control-")
}

// CleanTrailer removes the fields from a trailer section that must not be in one.
func CleanTrailer(h http.Header) {
	for name, values := range h {
		if !trailable(name) || !httpguts.ValidTrailerHeader(name) || slices.ContainsFunc(values, func(v string) bool { return !httpguts.ValidHeaderFieldValue(v) }) {
			delete(h, name)
		}
	}
}

// The values of Via of most messages. They are never changed.
var (
	viaHTTP11 = []string{"1.1 " + pseudonym}
	viaHTTP2  = []string{"2.0 " + pseudonym}
)

// ViaAlone is the value of Via for a message without one.
func ViaAlone(major, minor int) []string {
	switch {
	case major == 1 && minor == 1:
		return viaHTTP11
	case major == 2 && minor == 0:
		return viaHTTP2
	}
	return []string{Via(major, minor)}
}

// AddVia appends this hop, without writing to the slice that may be shared.
func AddVia(h http.Header, major, minor int) {
	old := h["Via"]
	if len(old) == 0 {
		h["Via"] = ViaAlone(major, minor)
		return
	}
	h["Via"] = append(old[:len(old):len(old)], Via(major, minor))
}

// Via is the value of this hop for a message of the given version (RFC 9110 §7.6.3).
func Via(major, minor int) string {
	switch {
	case major == 1 && minor == 1:
		return "1.1 " + pseudonym
	case major == 2:
		return "2.0 " + pseudonym
	}
	return fmt.Sprintf("%d.%d %s", major, minor, pseudonym)
}

// NoUserAgent keeps net/http from adding a User-Agent of its own. It must not be changed.
var NoUserAgent = []string{""}

// Passes counts how often this gateway's name is in Via.
func Passes(h http.Header) int {
	n := 0
	for _, line := range h["Via"] {
		n += strings.Count(line, " "+pseudonym)
	}
	return n
}

// AskUpgrade makes h ask for a change of protocol on this hop. A Pool passes an Upgrade on only if
// its request asks in this way, because the client's own Connection field ended at the gateway.
func AskUpgrade(h http.Header, protocol string) {
	h["Connection"] = []string{"Upgrade"}
	h["Upgrade"] = []string{protocol}
}

// AskedUpgrade is the protocol that h asks for. It is "" if h does not ask for an upgrade.
func AskedUpgrade(h http.Header) string {
	if !httpguts.HeaderValuesContainsToken(h["Connection"], "upgrade") {
		return ""
	}
	return h.Get("Upgrade")
}

// WantsTrailers reports whether the client can take trailers.
func WantsTrailers(h http.Header) bool {
	return httpguts.HeaderValuesContainsToken(h["Te"], "trailers")
}

// CheckResponse refuses responses that net/http accepts but a gateway must not pass on.
func CheckResponse(r *http.Response) error {
	if r.StatusCode < 100 || r.StatusCode > 599 {
		// RFC 9110 §15: values outside 100..599 are invalid.
		return fmt.Errorf("invalid status code %d", r.StatusCode)
	}
	return CheckFields(r.Header)
}

// CheckFields refuses invalid names and values. If there is space between a name and its colon, it
// is removed (RFC 9112 §5.1).
func CheckFields(h http.Header) error {
	for name, values := range h {
		if !httpguts.ValidHeaderFieldName(name) {
			trimmed := strings.TrimRight(name, " \t")
			if !httpguts.ValidHeaderFieldName(trimmed) {
				return fmt.Errorf("invalid field name %q", name)
			}
			delete(h, name)
			canonical := textproto.CanonicalMIMEHeaderKey(trimmed)
			h[canonical] = append(h[canonical], values...)
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return fmt.Errorf("invalid value of field %s", name)
			}
		}
	}
	return nil
}
