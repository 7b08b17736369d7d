package config

import (
	"net/netip"
	"slices"
	"time"
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

// maxRefill bounds the time in which a used up burst becomes available again.
const maxRefill = 365 * 24 * time.Hour

// rateLimit requires a burst that becomes available again, and Redis for a shared limit.
func (k checker) rateLimit(r *Route, n *node) {
	at, l := n.get("rate_limit"), r.RateLimit
	if l != nil && l.Shared && k.config.Cache.Redis == nil && k.sound(at) && k.whole(k.root.get("cache")) && k.whole(k.root.get("cache").get("redis")) {
		k.at(written(at, "shared"), problemf("instances share a limit in Redis, and cache.redis is missing").or("cache: {redis: {url: \"redis://127.0.0.1:6379/0\"}}, or leave shared out"))
	}
	if l == nil || !k.sound(at) || !k.sound(at.get("rate")) || !k.whole(at.get("burst")) {
		return
	}
	if most := int(maxRefill / l.Rate.Every()); l.Burst > most {
		k.at(written(at, "burst"), problemf("at %s a burst of %d takes more than a year to become available again", l.Rate, l.Burst).or("at most %d", most))
	}
}
