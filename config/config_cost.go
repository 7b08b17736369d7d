package config

// Cost says what the traffic costs, and what may be spent in a month. With it the gateway keeps account of what each route has used
// and what its cache and its compression have spared: GET /api/cost on the admin listener, penstock stats --cost.
type Cost struct {
	// Currency is that of all prices, as three capital letters (ISO 4217).
	Currency string `key:"currency" as:"currency"`
	// EgressPerGB is the price of 10^9 bytes from the gateway to its clients.
	EgressPerGB Money `key:"egress_per_gb"`
	// OriginPerGB is the price of 10^9 bytes from the origins to the gateway.
	OriginPerGB Money `key:"origin_per_gb"`
	// OriginPerMillionRequests is the price of a million requests to the origins.
	OriginPerMillionRequests Money `key:"origin_per_million_requests"`
	// Budget is what a month (UTC) may cost; nil: nobody is alerted.
	Budget *Budget `key:"budget"`
	// File keeps the account over restarts where no Redis is configured; with one it is kept there, for all instances together, and this is not used.
	// Left out: without Redis it begins anew with each start.
	File string `key:"file" as:"state_file"`
}

// Budget is what a month may cost, and who hears of it.
type Budget struct {
	// Monthly is the amount.
	Monthly Money `key:"monthly" required:"true"`
	// AlertAt are the shares of the amount whose crossing is logged and told to the webhook, once a month each.
	AlertAt []float64 `key:"alert_at" as:"share"`
	// Webhook is the URL that each alert is posted to, as JSON; it is tried again until it answers 2xx. "": the log alone.
	Webhook string `key:"webhook" as:"webhook"`
}
