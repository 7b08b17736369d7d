package config

// writes wants a policy that has something to do, and settings that go with it.
func (k checker) writes(r *Route, n *node) {
	at := n.get("writes")
	if !k.sound(at) || !k.sound(n.get("match")) {
		return
	}
	w := r.Writes
	if k.own(n, "writes") && k.sound(at.get("refresh")) && w.Refresh != RefreshRefetch && w.Policy != WriteThrough {
		k.at(at.get("refresh"), problemf("with policy %s nothing is refreshed", w.Policy).or("refresh goes with policy: through"))
	}
	if w.Policy == WriteThrough && !r.Cache.Enabled && allows(r.Match.Methods, "GET") && k.own(n, "writes") && k.whole(n.get("cache")) {
		k.at(written(at, "policy"), problemf("what is written can't be kept: this route has no cache").or("write cache: {enabled: true}"))
	}
}
