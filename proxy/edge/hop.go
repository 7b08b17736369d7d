package edge

import (
	"net/http"
	"net/textproto"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// hopByHop lists the request fields that end at this hop (RFC 9110 §7.6.1).
var hopByHop = []string{
	"Connection", "Http2-Settings", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// unremovable lists fields that a client cannot remove by naming them in Connection. RFC 9110
// §7.6.1 forbids naming fields that are intended for all recipients. If the gateway obeyed, a
// client could remove fields on which others base decisions.
var unremovable = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Accept-Language": true, "Access-Control-Request-Headers": true, "Access-Control-Request-Method": true, "Age": true,
	"Authorization": true, "Baggage": true, "Cache-Control": true, "Content-Encoding": true, "Content-Length": true, "Content-Type": true, "Cookie": true, "Date": true,
	"Expect": true, "Forwarded": true, "Host": true, "If-Match": true, "If-Modified-Since": true, "If-None-Match": true, "If-Range": true, "If-Unmodified-Since": true,
	"Origin": true, "Pragma": true, "Range": true, "Referer": true, "Traceparent": true, "Tracestate": true, "User-Agent": true, "Via": true, "X-Real-Ip": true,
}

// removeHopByHop removes from h the fields that end at this hop. If the client accepts trailers, TE
// stays as exactly "trailers", since no other value of it may be forwarded. It returns the protocol
// that the client asks to upgrade to, in lower case, or "".
func removeHopByHop(h http.Header) (upgrade string) {
	connection := h["Connection"]
	if httpguts.HeaderValuesContainsToken(connection, "upgrade") {
		upgrade = singleProtocol(h["Upgrade"])
	}
	trailers := httpguts.HeaderValuesContainsToken(h["Te"], "trailers")
	for _, line := range connection {
		for option := range strings.SplitSeq(line, ",") {
			if name := textproto.CanonicalMIMEHeaderKey(textproto.TrimString(option)); removable(name) {
				delete(h, name)
			}
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
	if trailers {
		h["Te"] = []string{"trailers"}
	}
	return upgrade
}

func removable(name string) bool {
	return !unremovable[name] && !strings.HasPrefix(name, "X-Forwarded-") && !strings.HasPrefix(name, ":")
}

// singleProtocol returns the protocol that an Upgrade field names, or "" if the field lists
// several.
func singleProtocol(lines []string) string {
	if len(lines) != 1 || strings.ContainsAny(lines[0], ", ") {
		return ""
	}
	return strings.ToLower(lines[0])
}
