package config

// Cost holds the prices of the traffic and the budget of a month. With it, the gateway keeps
// account of each route's traffic and of the savings by its cache and its compression: GET
// /api/cost on the admin listener, penstock stats --cost.
type Cost struct {
	// Currency is the currency of all prices, as three capital letters (ISO 4217).
	Currency string `key:"currency" as:"currency"`
	// EgressPerGB is the price of 10^9 bytes from the gateway to its clients.
	EgressPerGB Money `key:"egress_per_gb"`
	// OriginPerGB is the price of 10^9 bytes from the origins to the gateway.
	OriginPerGB Money `key:"origin_per_gb"`
	// OriginPerMillionRequests is the price of a million requests to the origins.
	OriginPerMillionRequests Money `key:"origin_per_million_requests"`
	// Budget is the budget of a month (UTC). If it is omitted, there are no alerts.
	Budget *Budget `key:"budget"`
	// File stores the account across restarts if no Redis is configured. If Redis is configured, it
	// stores the account of all instances together, and this file is not used. Without both, the
	// account begins anew with each start.
	File string `key:"file" as:"state_file"`
}

// Budget is the budget of a month and its alerts.
type Budget struct {
	// Monthly is the amount.
	Monthly Money `key:"monthly" required:"true"`
	// AlertAt are shares of the amount. When the cost exceeds one, the gateway logs an alert and
	// sends it to the webhook, once a month for each share.
	AlertAt []float64 `key:"alert_at" as:"share"`
	// Webhook is the URL to which the gateway posts each alert as JSON. It retries until the URL
	// answers 2xx. With "" it only logs.
	Webhook string `key:"webhook" as:"webhook"`
}
