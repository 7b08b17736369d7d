package redistest

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// Gate is one client's way to a group of servers: a Proxy in front of each, with common faults. In
// the replies of Sentinels and Cluster nodes, it replaces the servers' addresses by those of the
// proxies, so that the client cannot bypass them.
type Gate struct {
	proxies  []*Proxy
	replaced []pair
}

type pair struct{ server, proxy []byte }

// StartGate runs the proxies. They stop when the test ends.
func StartGate(tb testing.TB, servers ...*Server) *Gate {
	tb.Helper()
	g := &Gate{}
	for _, s := range servers {
		p := newProxy(tb, s.Addr)
		p.rewrite = g.rewrite
		g.proxies = append(g.proxies, p)
		for _, form := range forms() {
			g.replaced = append(g.replaced, pair{[]byte(form(s.Addr)), []byte(form(p.Addr))})
		}
	}
	for _, p := range g.proxies {
		p.start(tb)
	}
	return g
}

// forms are the ways in which replies write an address: in MOVED, in messages of Sentinels, in
// CLUSTER SLOTS, and in lists of Sentinels. All ports have five digits, so a replacement keeps the
// length.
func forms() []func(addr string) string {
	between := func(separator string) func(string) string {
		return func(addr string) string { return strings.Replace(addr, ":", separator, 1) }
	}
	return []func(string) string{
		between(":"), between(" "), between("\r\n:"), between("\r\n$5\r\n"), between("\r\n$4\r\nport\r\n$5\r\n"),
	}
}

func (g *Gate) rewrite(reply []byte) []byte {
	for _, p := range g.replaced {
		reply = bytes.ReplaceAll(reply, p.server, p.proxy)
	}
	return reply
}

// URL returns the URL of the group with the addresses of the proxies.
func (g *Gate) URL(url string) string { return string(g.rewrite([]byte(url))) }

// Heal removes all faults.
func (g *Gate) Heal() { g.each((*Proxy).Heal) }

// Refuse closes all connections and refuses new ones.
func (g *Gate) Refuse() { g.each((*Proxy).Refuse) }

// Silence stops all bytes in both directions without closing a connection.
func (g *Gate) Silence() { g.each((*Proxy).Silence) }

// Delay delays every piece of a reply by d.
func (g *Gate) Delay(d time.Duration) { g.each(func(p *Proxy) { p.Delay(d) }) }

func (g *Gate) each(do func(*Proxy)) {
	for _, p := range g.proxies {
		do(p)
	}
}
