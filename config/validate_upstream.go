package config

import (
	"net/url"
	"slices"
)

// upstreams checks each upstream by itself.
func (k checker) upstreams(n *node) {
	if n == nil {
		return
	}
	for _, f := range n.fields {
		u := k.config.Upstreams[f.key.text]
		if u == nil || f.value.kind != kindMap {
			continue
		}
		k.targets(u, f.value)
		k.balance(u, f.value)
		k.protocol(u, f.value)
		k.pool(u, f.value)
	}
}

// targets requires at least one target, and no duplicates.
func (k checker) targets(u *Upstream, n *node) {
	list := n.get("targets")
	if !k.sound(list) {
		return
	}
	if len(list.items) == 0 {
		k.at(list, problemf("the list of targets is empty").or("such as [http://127.0.0.1:7001]"))
	}
	seen := map[url.URL]bool{}
	for i, t := range u.Targets {
		if seen[*t.URL] {
			k.at(list.items[i], problemf("%s occurs twice", t.URL.Host).or("give it a weight instead"))
		}
		seen[*t.URL] = true
	}
}

// balance requires hash_on for `hash`, and refuses it otherwise.
func (k checker) balance(u *Upstream, n *node) {
	if !k.whole(n.get("balance")) || !k.whole(n.get("hash_on")) {
		return
	}
	switch hashes := u.Balance == BalanceHash; {
	case hashes && u.HashOn.Source == HashNone:
		k.at(written(n, "balance"), problemf("balance: hash needs hash_on").or("header:NAME, cookie:NAME, path or client_ip"))
	case !hashes && u.HashOn.Source != HashNone:
		k.at(n.get("hash_on"), problemf("hash_on is for balance: hash, this upstream has %s", u.Balance))
	}
}

// protocol requires targets that support it, and TLS settings only if a target has TLS.
func (k checker) protocol(u *Upstream, n *node) {
	if !k.sound(n.get("targets")) || !k.whole(n.get("protocol")) {
		return
	}
	for i, t := range u.Targets {
		at := n.get("targets").items[i]
		switch {
		case u.Protocol == ProtocolH2 && t.URL.Scheme == "http":
			k.at(at, problemf("protocol h2 needs an https target").or("h2c is HTTP/2 without TLS"))
		case u.Protocol == ProtocolH2C && t.URL.Scheme == "https":
			k.at(at, problemf("protocol h2c needs an http target").or("h2 is HTTP/2 with TLS"))
		}
	}
	secure := slices.ContainsFunc(u.Targets, func(t Target) bool { return t.URL.Scheme == "https" })
	if !secure && u.TLS != (UpstreamTLS{}) {
		k.at(n.get("tls"), problemf("no target of this upstream has https"))
	}
	if u.TLS.InsecureSkipVerify && u.TLS.CA != "" {
		k.at(written(n, "tls", "ca"), problemf("with insecure_skip_verify the authorities have no effect").or("leave one of them out"))
	}
}

func (k checker) pool(u *Upstream, n *node) {
	at := n.get("pool")
	if k.sound(at) && u.Pool.Max > 0 && u.Pool.Min > u.Pool.Max {
		k.at(written(at, "min"), problemf("min %d is above max %d", u.Pool.Min, u.Pool.Max))
	}
}
