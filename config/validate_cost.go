package config

// cost checks that there is something to reckon with, and that an alert can ever come.
func (k checker) cost(n *node) {
	c := k.config.Cost
	if c == nil || !k.sound(n) {
		return
	}
	if c.EgressPerGB == 0 && c.OriginPerGB == 0 && c.OriginPerMillionRequests == 0 {
		k.at(n, problemf("all prices are nothing").or("set egress_per_gb, origin_per_gb or origin_per_million_requests, or leave cost out"))
	}
	b, at := c.Budget, n.get("budget")
	if b == nil {
		return
	}
	if b.Monthly == 0 {
		k.at(written(at, "monthly"), problemf("a budget of nothing is used up from the start").or("write an amount, or leave the budget out"))
	}
	list := at.get("alert_at")
	for i, share := range b.AlertAt {
		if share == 0 {
			k.at(item(list, i), problemf("0%% is reached from the start").or("from 1%% to 100%%"))
		}
	}
	if len(b.AlertAt) == 0 && b.Webhook != "" {
		k.at(written(at, "webhook"), problemf("nothing is ever told to the webhook").or("name shares in alert_at"))
	}
}
