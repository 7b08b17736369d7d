package config

import (
	"net"
	"net/netip"
	"strings"
)

// checker looks at what single values can't tell: whether they agree with each other. It passes over what could not be
// read, whose mistakes are known already.
type checker struct {
	*decoder
	config *Config
	root   *node
}

// validate notes where the parts of c contradict each other.
func validate(c *Config, root *node, d *decoder) {
	k := checker{d, c, root}
	k.server(root.get("server"))
	k.admin(root.get("admin"))
	k.telemetry(root.get("telemetry"))
	k.stores(root.get("cache"))
	k.writeQueue(root.get("writes"))
	k.upstreams(root.get("upstreams"))
	k.routes(root.get("routes"))
	k.cost(root.get("cost"))
}

// sound reports whether a part is written and could be read.
func (k checker) sound(n *node) bool { return n != nil && !k.bad[n] }

// whole reports whether a part could be read, if it was written.
func (k checker) whole(n *node) bool { return n == nil || !k.bad[n] }

// written finds the innermost value that was written on the way along the keys.
func written(n *node, keys ...string) *node {
	for _, key := range keys {
		next := n.get(key)
		if next == nil {
			break
		}
		n = next
	}
	return n
}

// server checks the listeners.
func (k checker) server(n *node) {
	listen := n.get("listen")
	if k.sound(listen) && len(listen.items) == 0 {
		k.at(listen, problemf("there is no listener").or("such as [{address: \"127.0.0.1:8080\"}]"))
	}
	seen := map[string]bool{}
	for i, l := range k.config.Server.Listen {
		at := item(listen, i)
		if !k.sound(at) {
			continue
		}
		switch {
		case systemChooses(l.Address):
		case seen[l.Address]:
			k.at(at.get("address"), problemf("another listener has this address"))
		case l.Address == k.config.Admin.Address:
			k.at(at.get("address"), problemf("the admin listener has this address").or("it is one of its own: set admin.address"))
		}
		seen[l.Address] = true
		k.listenerTLS(l, at)
	}
}

// systemChooses reports whether the address leaves the port to the system, so that two of them never collide.
func systemChooses(address string) bool {
	_, port, err := net.SplitHostPort(address)
	return err == nil && strings.Trim(port, "0") == ""
}

func (k checker) listenerTLS(l Listener, at *node) {
	if l.TLS == nil {
		return
	}
	if len(l.TLS.Certificates) == 0 {
		k.at(written(at, "tls", "certificates"), problemf("there is no certificate").or("[{cert: server.crt, key: server.key}]"))
	}
	if l.H2C {
		k.at(at.get("h2c"), problemf("h2c is HTTP/2 without TLS, and this listener has TLS").or("HTTP/2 is there by ALPN already"))
	}
}

// admin refuses to open the operators' listener to others without a token.
func (k checker) admin(n *node) {
	if !k.whole(n.get("address")) || !k.whole(n.get("token")) {
		return
	}
	a := k.config.Admin
	if a.Token == "" && !isLocal(a.Address) {
		k.at(written(n, "address"), problemf("without a token the admin listener must be on loopback or a unix socket").
			or("set admin.token, or listen on 127.0.0.1:9901"))
	}
}

// isLocal reports whether only this machine reaches an address.
func isLocal(address string) bool {
	if strings.HasPrefix(address, unixPrefix) {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// telemetry refuses what would be the name of a file and is meant to be none.
func (k checker) telemetry(n *node) {
	if out := n.get("access_log").get("output"); k.sound(out) && strings.EqualFold(out.text, "none") {
		k.at(out, problemf("none would be a file's name").or(`write "off"`))
	}
}

func (k checker) stores(n *node) {
	m := k.config.Cache.Memory
	at := n.get("memory")
	if k.sound(at) && m.MaxObject > m.Size {
		k.at(written(at, "max_object"), problemf("an object of %s does not fit into %s", printSize(m.MaxObject), printSize(m.Size)))
	}
}
