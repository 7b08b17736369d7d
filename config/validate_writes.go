package config

// writes wants a policy that has something to do, and settings that go with it.
func (k checker) writes(r *Route, n *node) {
	at := n.get("writes")
	if !k.sound(at) || !k.sound(n.get("match")) {
		return
	}
	w, own := r.Writes, k.own(n, "writes")
	if own && k.sound(at.get("refresh")) && w.Refresh != RefreshRefetch && w.Policy != WriteThrough {
		k.at(at.get("refresh"), problemf("with policy %s nothing is refreshed", w.Policy).or("refresh goes with policy: through"))
	}
	reads := allows(r.Match.Methods, "GET")
	if w.Policy == WriteThrough && !r.Cache.Enabled && reads && own && k.whole(n.get("cache")) {
		k.at(written(at, "policy"), problemf("what is written can't be kept: this route has no cache").or("write cache: {enabled: true}"))
	}
	if w.Policy == WriteBehind {
		k.behind(r, n, reads)
	}
}

// behind wants a place to keep writes in, and reads that can see them where they are to.
func (k checker) behind(r *Route, n *node, reads bool) {
	at := n.get("writes")
	if k.config.Writes.Path == "" && k.root.get("cache").get("redis") == nil && k.whole(k.root.get("writes")) {
		k.at(written(at, "policy"), problemf("accepted writes have to be kept somewhere").or("name a file, writes: {path: /var/lib/penstock/writes.db}, or add cache.redis.url"))
	}
	queue := at.get("queue")
	if w := r.Writes.Queue; w.Backoff > w.MaxBackoff && k.whole(queue) {
		k.at(written(at, "queue", "backoff"), problemf("backoff %s is above max_backoff %s", printDuration(w.Backoff), printDuration(w.MaxBackoff)))
	}
	if r.Writes.Queue.CacheBody && k.sound(queue) && k.whole(n.get("cache")) && (!r.Cache.Enabled || !reads) {
		k.at(written(at, "queue", "cache_body"), problemf("this route has no cached reads that could see it").or("write cache: {enabled: true}, and GET among match.methods"))
	}
}

// writeQueue wants bounds that leave room for one write.
func (k checker) writeQueue(n *node) {
	if w := k.config.Writes; k.sound(n) && w.MaxBody > w.Size {
		k.at(written(n, "max_body"), problemf("a body of %s does not fit into %s", printSize(w.MaxBody), printSize(w.Size)))
	}
}
