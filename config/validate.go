package config

import (
	"net"
	"net/netip"
	"strings"
	"time"
)

// checker checks whether values agree with each other. It skips unreadable values, whose mistakes
// are already reported.
type checker struct {
	*decoder
	config *Config
	root   *node
}

// validate reports contradictions between the parts of c.
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
	if len(d.errs) == 0 { // an unreadable part would make other parts look unused
		k.warnings()
	}
}

// sound reports whether a part is written and readable.
func (k checker) sound(n *node) bool { return n != nil && !k.bad[n] }

// whole reports whether a part is readable or not written.
func (k checker) whole(n *node) bool { return n == nil || !k.bad[n] }

// written returns the innermost written value on the path of the keys.
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
		k.at(listen, problemf("the list of listeners is empty").or("such as [{address: \"127.0.0.1:8080\"}]"))
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
			k.at(at.get("address"), problemf("the admin listener has this address").or("the admin listener needs its own address: set admin.address"))
		}
		seen[l.Address] = true
		k.listenerTLS(l, at)
	}
}

// systemChooses reports whether the address lets the system choose the port, so that two such
// addresses never collide.
func systemChooses(address string) bool {
	_, port, err := net.SplitHostPort(address)
	return err == nil && strings.Trim(port, "0") == ""
}

func (k checker) listenerTLS(l Listener, at *node) {
	if l.TLS == nil {
		return
	}
	if len(l.TLS.Certificates) == 0 {
		k.at(written(at, "tls", "certificates"), problemf("the list of certificates is empty").or("[{cert: server.crt, key: server.key}]"))
	}
	if l.H2C {
		k.at(at.get("h2c"), problemf("h2c is HTTP/2 without TLS, and this listener has TLS").or("leave h2c out: TLS offers HTTP/2 by ALPN"))
	}
}

// admin requires a token if the operators' listener is reachable from other machines.
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

// isLocal reports whether an address is reachable only from this machine.
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

// telemetry refuses words that would be file names but mean that there should be no log, or a
// standard stream.
func (k checker) telemetry(n *node) {
	out := n.get("access_log").get("output")
	if !k.sound(out) {
		return
	}
	switch word := strings.ToLower(out.text); word {
	case "none", "no", "false":
		k.at(out, problemf("%s would be a file name", word).or(`write "off"`))
	case "-", "console", "/dev/stdout":
		k.at(out, problemf("%s would be a file name", word).or("write stdout"))
	case AccessOff, AccessStdout, AccessStderr:
		if out.text != word {
			k.at(out, problemf("%s would be a file name", out.quoted()).or("write %q", word))
		}
	}
}

func (k checker) stores(n *node) {
	m := k.config.Cache.Memory
	at := n.get("memory")
	if k.sound(at) && m.MaxObject > m.Size {
		k.at(written(at, "max_object"), problemf("max_object %s is larger than size %s", printSize(m.MaxObject), printSize(m.Size)))
	}
	if r := k.config.Cache.Redis; r != nil && r.MaxCutOff > 0 && r.MaxCutOff < minCutOff {
		k.at(written(n.get("redis"), "max_cut_off"), problemf("an instance reports once a second, and a few reports may be lost").or("write %s or more, or 0", printDuration(minCutOff)))
	}
}

// minCutOff is the smallest max_cut_off. A shorter one would make all instances ask their origins
// when Redis is slow for a moment.
const minCutOff = 5 * time.Second
