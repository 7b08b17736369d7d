package upstream

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/penstock/penstock/proxy/observe"
)

// hashOn says which part of a request is hashed.
type hashOn struct {
	kind string // "header", "cookie", "path" or "client_ip"
	name string
}

func parseHashOn(s string) (hashOn, error) {
	kind, name, _ := strings.Cut(s, ":")
	h := hashOn{kind: kind, name: name}
	named := kind == "header" || kind == "cookie"
	plain := kind == "path" || kind == "client_ip"
	if named && name != "" || plain && name == "" && !strings.Contains(s, ":") {
		if kind == "header" {
			h.name = http.CanonicalHeaderKey(name)
		}
		return h, nil
	}
	return h, fmt.Errorf("hash_on %q is none of header:NAME, cookie:NAME, path, client_ip", s)
}

// value is the part of r that is hashed, or "" if r does not have it.
func (h hashOn) value(r *http.Request) string {
	switch h.kind {
	case "header":
		return strings.Join(r.Header[h.name], ",")
	case "cookie":
		if c, err := r.Cookie(h.name); err == nil {
			return c.Value
		}
	case "path":
		return r.URL.EscapedPath()
	case "client_ip":
		return clientIP(r)
	}
	return ""
}

func clientIP(r *http.Request) string {
	if ip := observe.FromContext(r.Context()).ClientIP; ip.IsValid() {
		return ip.String()
	}
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return peer.Addr().Unmap().String()
	}
	return ""
}
