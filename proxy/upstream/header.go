package upstream

import (
	"fmt"
	"net/http"
	"net/textproto"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// framing are fields of a request that follow from the message itself.
var framing = map[string]bool{"Content-Length": true, "Host": true}

// unremovable are fields that a Connection option of a response can't take away: they are for every recipient (RFC 9110 §7.6.1),
// and a cache that lost them would store what it must not.
var unremovable = map[string]bool{
	"Age": true, "Authorization": true, "Cache-Control": true, "Cdn-Cache-Control": true, "Content-Encoding": true, "Content-Length": true, "Content-Range": true,
	"Content-Type": true, "Cookie": true, "Date": true, "Etag": true, "Expires": true, "Forwarded": true, "Host": true, "Last-Modified": true, "Location": true, "Pragma": true,
	"Set-Cookie": true, "Vary": true, "Via": true, "Www-Authenticate": true, "X-Real-Ip": true,
}

// endsHere reports whether the field with this canonical name ends at each hop (RFC 9110 §7.6.1), or is one that the transport writes by itself.
func endsHere(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings":
		return true
	}
	return false
}

// named reports the fields that the Connection field of h names and that may be removed, or nil.
func named(h http.Header) map[string]bool {
	var names map[string]bool
	for _, line := range h["Connection"] {
		for option := range strings.SplitSeq(line, ",") {
			name := textproto.CanonicalMIMEHeaderKey(textproto.TrimString(option))
			if name == "" || endsHere(name) || unremovable[name] || strings.HasPrefix(name, "X-Forwarded-") {
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

// endToEnd copies the fields of a request that go on to the next hop. The values are shared with h.
func endToEnd(h http.Header) http.Header {
	drop := named(h)
	out := make(http.Header, len(h)+4)
	for name, values := range h {
		if !endsHere(name) && !framing[name] && !drop[name] {
			out[name] = values
		}
	}
	return out
}

// strip removes from a response's header what ends at this hop, in place.
func strip(h http.Header) {
	drop := named(h)
	for name := range h {
		if endsHere(name) || drop[name] {
			delete(h, name)
		}
	}
}

// pseudonym is what the gateway calls itself in Via (RFC 9110 §7.6.3).
const pseudonym = "penstock"

// maxPasses is how often one request may pass through gateways of this name: more than any sensible chain of them has.
const maxPasses = 8

// addVia appends this hop, without writing to the slice that may be shared.
func addVia(h http.Header, major, minor int) {
	old := h["Via"]
	if len(old) == 0 {
		h["Via"] = viaAlone(major, minor)
		return
	}
	h["Via"] = append(old[:len(old):len(old)], via(major, minor))
}

func via(major, minor int) string {
	switch {
	case major == 1 && minor == 1:
		return "1.1 " + pseudonym
	case major == 2:
		return "2.0 " + pseudonym
	}
	return fmt.Sprintf("%d.%d %s", major, minor, pseudonym)
}

// noUserAgent keeps net/http from adding a User-Agent of its own. Nobody writes to it.
var noUserAgent = []string{""}

// passes counts how often this gateway's name is in Via.
func passes(h http.Header) int {
	n := 0
	for _, line := range h["Via"] {
		n += strings.Count(line, " "+pseudonym)
	}
	return n
}

// AskUpgrade makes h ask for a change of protocol on this hop. A Pool passes an Upgrade on only where its request asks in this way,
// because what the client's own Connection field said ended at the gateway.
func AskUpgrade(h http.Header, protocol string) {
	h["Connection"] = []string{"Upgrade"}
	h["Upgrade"] = []string{protocol}
}

// askedUpgrade is the protocol that h asks for, "" for none.
func askedUpgrade(h http.Header) string {
	if !httpguts.HeaderValuesContainsToken(h["Connection"], "upgrade") {
		return ""
	}
	return h.Get("Upgrade")
}

// wantsTrailers reports whether the client can take trailers.
func wantsTrailers(h http.Header) bool {
	return httpguts.HeaderValuesContainsToken(h["Te"], "trailers")
}

// checkResponse refuses what net/http lets through and nobody should pass on.
func checkResponse(r *http.Response) error {
	if r.StatusCode < 100 || r.StatusCode > 599 {
		// RFC 9110 §15: values outside 100..599 are invalid.
		return fmt.Errorf("invalid status code %d", r.StatusCode)
	}
	return checkFields(r.Header)
}

// checkFields refuses names and values that are none. Space between a name and its colon is removed (RFC 9112 §5.1).
func checkFields(h http.Header) error {
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
