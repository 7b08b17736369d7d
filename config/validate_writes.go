package config

import "strings"

// writes requires a policy that has an effect, and settings that fit it.
func (k checker) writes(r *Route, n *node) {
	at := n.get("writes")
	if !k.sound(at) || !k.sound(n.get("match")) {
		return
	}
	w, own := r.Writes, k.own(n, "writes")
	if own && k.sound(at.get("refresh")) && w.Refresh != RefreshRefetch && w.Policy != WriteThrough {
		k.at(at.get("refresh"), problemf("with policy %s nothing is refreshed", w.Policy).or("refresh needs policy: through"))
	}
	if w.Policy != WriteBehind && own {
		for key, set := range map[string]bool{"order_by": w.OrderBy != "", "retry_on": len(w.RetryOn) > 0} {
			if given := at.get(key); set && k.sound(given) {
				k.at(given, problemf("with policy %s no write is queued", w.Policy).or("%s needs policy: behind", key))
			}
		}
	}
	if order := at.get("order_by"); own && k.sound(order) && w.OrderBy != "" {
		if p := checkTemplate(w.OrderBy, r.Match.Path); p != nil {
			k.at(order, p)
		}
	}
	reads := allows(r.Match.Methods, "GET")
	if w.Policy == WriteThrough && !r.Cache.Enabled && reads && own && k.whole(n.get("cache")) {
		k.at(written(at, "policy"), problemf("a written representation can't be stored: this route has no cache").or("write cache: {enabled: true}"))
	}
	if w.Policy == WriteBehind {
		k.behind(r, n, reads)
	}
}

// behind requires a store for writes, and cached reads if reads must see queued writes.
func (k checker) behind(r *Route, n *node, reads bool) {
	at := n.get("writes")
	if k.config.Writes.Path == "" && k.root.get("cache").get("redis") == nil && k.whole(k.root.get("writes")) {
		k.at(written(at, "policy"), problemf("accepted writes need a store").or("name a file, writes: {path: /var/lib/penstock/writes.db}, or add cache.redis.url"))
	}
	queue := at.get("queue")
	if w := r.Writes.Queue; w.Backoff > w.MaxBackoff && k.whole(queue) {
		k.at(written(at, "queue", "backoff"), problemf("backoff %s is above max_backoff %s", printDuration(w.Backoff), printDuration(w.MaxBackoff)))
	}
	if r.Writes.Queue.CacheBody && k.sound(queue) && k.whole(n.get("cache")) && (!r.Cache.Enabled || !reads) {
		k.at(written(at, "queue", "cache_body"), problemf("this route has no cached reads that could see a queued write").or("write cache: {enabled: true}, and GET among match.methods"))
	}
}

// writeQueue requires room for at least one write.
func (k checker) writeQueue(n *node) {
	if w := k.config.Writes; k.sound(n) && w.MaxBody > w.Size {
		k.at(written(n, "max_body"), problemf("max_body %s is larger than size %s", printSize(w.MaxBody), printSize(w.Size)))
	}
}

// readOrderKey accepts a text with placeholders and balanced braces.
func readOrderKey(s string) (string, *problem) {
	fixed := templateVariable.ReplaceAllString(s, "")
	if s == "" || len(s) > 1024 || strings.ContainsAny(fixed, "{}") || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", not("such as \"{id}\"")
	}
	return s, nil
}
