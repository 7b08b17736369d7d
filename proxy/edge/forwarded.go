package edge

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// client is what is known of who sent a request, and how.
type client struct {
	ip     netip.Addr
	hops   []netip.Addr // from the client to the peer; nil where those are one
	scheme string
	host   string // canonical, as the client named it
	port   string
	// trusted is set when the peer is believed.
	trusted bool
}

// trust tells which peers are believed.
type trust []netip.Prefix

func (t trust) has(ip netip.Addr) bool {
	for _, p := range t {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// identify finds the client behind r, its scheme and its address. Host and port are known once the target is canonical.
func (t trust) identify(peer netip.Addr, tls bool, h http.Header) client {
	c := client{ip: peer, scheme: "http"}
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
	return c
}

// walk goes from the peer towards the client as far as each hop is trusted to say who was before it. Whatever stands further left can be forged, and
// is forgotten.
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

// claimedChain is the list of X-Forwarded-For, or else that of Forwarded.
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

// claimedProto is what the nearest proxy says of its own client's scheme.
func claimedProto(h http.Header) string {
	chain := splitList(h["X-Forwarded-Proto"])
	if len(chain) == 0 {
		chain = forwardedValues(h, "proto")
	}
	if len(chain) == 0 {
		return ""
	}
	if s := strings.ToLower(chain[len(chain)-1]); s == "http" || s == "https" {
		return s
	}
	return ""
}

// forwardedValues collects one parameter of each element of Forwarded (RFC 7239 §4). Commas in quoted strings do not occur in the values that it is
// used for.
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

// rewriteForwarded replaces what h says of the client by what is known. A trusted proxy may have named the host and port that its client used.
func (c *client) rewriteForwarded(h http.Header) {
	host, port := c.host, c.port
	if c.trusted {
		host, port = claimedHost(h, c)
		dropPrefix(h)
		dropOurs(h)
	} else {
		dropClaims(h)
	}
	ip := ""
	if c.ip.IsValid() {
		ip = c.ip.String()
	}
	// One array for all values; each slice ends where it begins to be another's.
	values := [...]string{host, port, c.scheme, c.forwarded(ip, host), c.joinHops(ip), ip}
	h["X-Forwarded-Host"] = values[0:1:1]
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

// claimedHost is what a trusted proxy says of host and port, where that is valid.
func claimedHost(h http.Header, c *client) (host, port string) {
	host, port = c.host, c.port
	if named := splitList(h["X-Forwarded-Host"]); len(named) > 0 {
		if canonical, err := CanonicalHost(named[len(named)-1], c.scheme); err == nil {
			host, port = canonical, hostPort(canonical, c.scheme)
		}
	}
	if n, err := strconv.ParseUint(h.Get("X-Forwarded-Port"), 10, 16); err == nil && n > 0 {
		port = strconv.FormatUint(n, 10)
	}
	return host, port
}

// dropPrefix removes an X-Forwarded-Prefix that is no plain path: it ends up in links.
func dropPrefix(h http.Header) {
	lines, ok := h["X-Forwarded-Prefix"]
	if !ok {
		return
	}
	if len(lines) == 1 {
		if canonical, err := CanonicalPath(lines[0]); err == nil && canonical == lines[0] {
			return
		}
	}
	delete(h, "X-Forwarded-Prefix")
}

// hostPort is the port of a canonical host, or the default of the scheme.
func hostPort(host, scheme string) string {
	if _, port, err := splitPort(host); err == nil && port != "" {
		return port
	}
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// joinHops is the value of X-Forwarded-For; ip is the first hop's text.
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

// forwarded is the value of Forwarded (RFC 7239): one element for each hop; the first says what its client asked for.
func (c *client) forwarded(ip, host string) string {
	if strings.ContainsAny(host, ":[") {
		host = `"` + host + `"` // RFC 7239 §4: a colon is not in a token
	}
	if ip == "" {
		return "host=" + host + ";proto=" + c.scheme
	}
	first := "for=" + forwardedNode(ip) + ";host=" + host + ";proto=" + c.scheme
	if len(c.hops) < 2 {
		return first
	}
	var b strings.Builder
	b.WriteString(first)
	for _, hop := range c.hops[1:] {
		b.WriteString(", for=" + forwardedNode(hop.String()))
	}
	return b.String()
}

// forwardedNode spells an address as RFC 7239 §6 wants it.
func forwardedNode(ip string) string {
	if strings.Contains(ip, ":") {
		return `"[` + ip + `]"`
	}
	return ip
}
