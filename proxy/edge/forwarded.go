package edge

import (
	"net/http"
	"net/netip"
	"strings"
)

// client describes the sender of a request and its connection.
type client struct {
	ip     netip.Addr
	hops   []netip.Addr // from the client to the peer; nil if the client is the peer
	scheme string
	// named is the requested host as it was spelled: Host or :authority, or the value from a
	// trusted peer.
	named string
	host  string // named in canonical form; "" if an HTTP/1.0 client named no host
	port  string
	// trusted is true if the peer is a trusted proxy.
	trusted bool
}

// trust lists the trusted proxies.
type trust []netip.Prefix

func (t trust) has(ip netip.Addr) bool {
	for _, p := range t {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// identify finds the client of a request that names host: its address, its scheme and the requested
// host.
func (t trust) identify(peer netip.Addr, tls bool, host string, h http.Header) client {
	c := client{ip: peer, scheme: "http", named: host}
	if tls {
		c.scheme = "https"
	}
	if c.trusted = t.has(peer); !c.trusted {
		return c
	}
	c.hops = t.walk(peer, claimedChain(h))
	c.ip = c.hops[0]
	if proto := claimedProto(h); proto != "" {
		c.scheme = proto
	}
	if host := claimedHost(h); host != "" {
		if _, err := CanonicalHost(host, c.scheme); err == nil {
			c.named = host
		}
	}
	return c
}

// walk returns the hops from the client to the peer. It goes back from the peer while each hop is
// trusted to name the one before it. Entries further to the left could be forged and are ignored.
func (t trust) walk(peer netip.Addr, chain []string) []netip.Addr {
	hops := []netip.Addr{peer}
	for i := len(chain) - 1; i >= 0 && t.has(hops[0]); i-- {
		ip := parseHop(chain[i])
		if !ip.IsValid() {
			break
		}
		hops = append([]netip.Addr{ip}, hops...)
	}
	return hops
}

func peerAddr(remote string) netip.Addr {
	if ap, err := netip.ParseAddrPort(remote); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// parseHop reads an address of X-Forwarded-For or Forwarded, with or without a port.
func parseHop(s string) netip.Addr {
	if ip, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return ip.Unmap().WithZone("")
	}
	return peerAddr(s)
}

// claimedChain returns the list of X-Forwarded-For or, if that is absent, of Forwarded.
func claimedChain(h http.Header) []string {
	lines := h["X-Forwarded-For"]
	if len(lines) == 0 {
		return forwardedValues(h, "for")
	}
	return splitList(lines)
}

func splitList(lines []string) []string {
	var out []string
	for _, line := range lines {
		for s := range strings.SplitSeq(line, ",") {
			out = append(out, strings.TrimSpace(s))
		}
	}
	return out
}

// claimedProto returns the scheme that the nearest proxy reports for its client, or "".
func claimedProto(h http.Header) string {
	chain := splitList(h["X-Forwarded-Proto"])
	if len(chain) == 0 {
		chain = forwardedValues(h, "proto")
	}
	if len(chain) == 0 {
		return ""
	}
	switch strings.ToLower(chain[len(chain)-1]) {
	case "http", "ws":
		return "http"
	case "https", "wss":
		return "https"
	}
	return ""
}

// forwardedValues collects one parameter of each element of Forwarded (RFC 7239 §4). It splits at
// every comma: the parameters for which it is used have no commas in quoted strings.
func forwardedValues(h http.Header, parameter string) []string {
	var out []string
	for _, element := range splitList(h["Forwarded"]) {
		for pair := range strings.SplitSeq(element, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if strings.EqualFold(name, parameter) {
				out = append(out, strings.Trim(value, `"`))
			}
		}
	}
	return out
}

// claimedHost returns the host that the nearest proxy reports, or "". As with the scheme,
// X-Forwarded-Host takes precedence over Forwarded, and the last of several values is the nearest
// proxy's own.
func claimedHost(h http.Header) string {
	chain := splitList(h["X-Forwarded-Host"])
	if len(chain) == 0 {
		chain = forwardedValues(h, "host")
	}
	if len(chain) == 0 {
		return ""
	}
	return chain[len(chain)-1]
}

// rewriteForwarded replaces the claims in h by the known facts. Every forwarded field that can
// change a response is in the cache key: host and port are in the effective host, and the scheme is
// a part of its own.
func (c *client) rewriteForwarded(h http.Header, named map[string]bool) {
	dropClaims(h, c.trusted, named)
	dropOurs(h)
	dropPrefix(h)
	ip := ""
	if c.ip.IsValid() {
		ip = c.ip.String()
	}
	// One array holds all values. Each slice is clipped to its element.
	values := [...]string{c.host, c.port, c.scheme, c.forwarded(ip), c.joinHops(ip), ip}
	if c.host != "" {
		h["X-Forwarded-Host"] = values[0:1:1]
	}
	h["X-Forwarded-Port"] = values[1:2:2]
	h["X-Forwarded-Proto"] = values[2:3:3]
	h["Forwarded"] = values[3:4:4]
	if ip != "" {
		h["X-Forwarded-For"] = values[4:5:5]
		h["X-Real-Ip"] = values[5:6:6]
	}
}

func dropOurs(h http.Header) {
	for _, name := range ours {
		delete(h, name)
	}
}

// dropPrefix removes an X-Forwarded-Prefix that is not a plain path, because applications put it
// into links.
func dropPrefix(h http.Header) {
	lines, ok := h["X-Forwarded-Prefix"]
	if !ok {
		return
	}
	if len(lines) == 1 {
		if canonical, err := CanonicalPath(lines[0]); err == nil && canonical == lines[0] && !strings.HasPrefix(canonical, "//") {
			return
		}
	}
	delete(h, "X-Forwarded-Prefix")
}

// hostPort returns the port of a canonical host, or the scheme's default port.
func hostPort(host, scheme string) string {
	if _, port, err := splitPort(host); err == nil && port != "" {
		return port
	}
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// joinHops returns the value of X-Forwarded-For. ip is the text of the first hop.
func (c *client) joinHops(ip string) string {
	if len(c.hops) < 2 {
		return ip
	}
	var b strings.Builder
	b.WriteString(ip)
	for _, hop := range c.hops[1:] {
		b.WriteString(", ")
		b.WriteString(hop.String())
	}
	return b.String()
}

// forwarded returns the value of Forwarded (RFC 7239), with one element for each hop. The first
// element has the requested host and scheme.
func (c *client) forwarded(ip string) string {
	var b strings.Builder
	b.Grow(len(`for="[]";host="";proto=`) + len(ip) + len(c.host) + len(c.scheme)) // the usual request has one hop
	if ip != "" {
		writeAll(&b, "for=", forwardedNode(ip), ";")
	}
	if c.host != "" {
		writeAll(&b, "host=", forwardedHost(c.host), ";")
	}
	writeAll(&b, "proto=", c.scheme)
	for _, hop := range c.hops[min(1, len(c.hops)):] {
		writeAll(&b, ", for=", forwardedNode(hop.String()))
	}
	return b.String()
}

func writeAll(b *strings.Builder, parts ...string) {
	for _, s := range parts {
		b.WriteString(s)
	}
}

// forwardedHost quotes a host that is not a token (RFC 7239 §4).
func forwardedHost(host string) string {
	if strings.ContainsAny(host, ":[") {
		return `"` + host + `"`
	}
	return host
}

// forwardedNode spells an address in the form of RFC 7239 §6.
func forwardedNode(ip string) string {
	if strings.Contains(ip, ":") {
		return `"[` + ip + `]"`
	}
	return ip
}
