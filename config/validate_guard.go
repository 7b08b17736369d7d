package config

import (
	"net/netip"
	"slices"
)

// allow refuses entries that can't have an effect, since deny wins.
func (k checker) allow(r *Route, n *node) {
	at := n.get("allow")
	if !k.sound(at) || !k.whole(at.get("ips")) || !k.whole(at.get("deny_ips")) {
		return
	}
	for i, ip := range r.Allow.IPs {
		by := slices.IndexFunc(r.Allow.DenyIPs, func(deny netip.Prefix) bool { return deny.Bits() <= ip.Bits() && deny.Contains(ip.Addr()) })
		if entry := item(at.get("ips"), i); by >= 0 && k.sound(entry) {
			k.at(entry, problemf("deny_ips has %s, and deny wins, so this allows nothing", r.Allow.DenyIPs[by]).or("leave one of the two out"))
		}
	}
	for i, file := range r.Allow.DenyFiles {
		if entry := item(at.get("deny_files"), i); slices.Contains(r.Allow.Files, file) && k.sound(entry) {
			k.at(entry, problemf("files has this file too, and deny wins, so it allows nothing").or("leave one of the two out"))
		}
	}
}
