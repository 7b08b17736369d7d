package config

import (
	"net/netip"
	"time"
)

// Allow limits a route to clients with certain IP addresses. Other clients get 403, also for stored
// responses. The client's address is that of the connection, or the address that proxies in
// server.trusted_proxies report. A client without an IP address gets 403 if a list is named here.
// Entries are networks such as 10.0.0.0/8 or single addresses. IPv4 is written as IPv4, and ::/0
// does not include it. An aggregate that reads a part through a route does not pass that route's
// lists, so give the aggregate its own.
type Allow struct {
	// IPs are the allowed networks. If neither ips nor files are named, all addresses are allowed.
	IPs []netip.Prefix `key:"ips"`
	// DenyIPs are the refused networks. They win over the allowed ones.
	DenyIPs []netip.Prefix `key:"deny_ips"`
	// Files hold further allowed networks, one a line; # begins a comment. The gateway reads a file
	// again within a few seconds after it changes. If a changed file is missing or broken, the list
	// read before stays in force, and the log names the broken line. A file without entries allows
	// nothing. Replace a file by renaming a new one, so that its content changes at once.
	Files []string `key:"files" as:"file"`
	// DenyFiles hold further refused networks, in the same form.
	DenyFiles []string `key:"deny_files" as:"file"`
}

// RateLimit bounds how often each client may use a route. Requests beyond it get 429, with the time
// to wait in Retry-After and the limit in RateLimit-Policy and RateLimit
// (draft-ietf-httpapi-ratelimit-headers). Other responses do not have these fields: stored responses
// are the same for all clients. Each request counts, also a hit; a request that another stage before
// the limit refuses does not. An aggregate that reads a part through a route does not count for that
// route's limit.
//
// Each instance counts for itself unless `shared` is set, in memory: of each route, 262144 clients at the most that have
// used a part of their burst (4 MiB). Beyond that it forgets the clients that have used the least.
// A reload keeps the counts of a route that keeps its name and `by`.
type RateLimit struct {
	// Rate is the number of requests in a second (s), minute (m), hour (h) or day (d), such as
	// 100/s. Requests become available evenly: with 60/m, one each second. The greatest rate is
	// 1000000/s.
	Rate Rate `key:"rate" required:"true"`
	// Burst is the number of requests that a client may send at once after a pause. In any time a
	// client gets at most the burst and, in addition, the rate times that time. If omitted, it is
	// the requests of one second at the rate, and at least 1.
	Burst int `key:"burst" min:"1" max:"1000000"`
	// By says which requests count as those of one client. client_ip: its IP address, as `allow`
	// sees it; in IPv6 the network of 64 bits around it. All clients without an IP address count as
	// one. header:NAME: the value of a request field; all requests with several lines of it, or
	// none, count as one client. route: all requests to the route.
	By RateBy `key:"by"`
	// Shared lets all instances that use the Redis of cache.redis count together. Each request then
	// costs a call to Redis of at most cache.redis.timeout, also a request for a stored response:
	// connections leave hits to the handler, which is slower. While Redis does
	// not answer, each instance applies the whole limit by itself, and counts such requests in
	// penstock_rate_limit_local_total. Redis holds a hash of the route and the client, until the
	// client's whole burst is available again.
	Shared bool `key:"shared"`
	// Mode says what happens to requests beyond the limit.
	Mode RateMode `key:"mode" enum:"enforce|report"`
}

// Rate is a number of requests in a time.
type Rate struct {
	Requests int
	Per      time.Duration
}

// RateBy says which requests count as those of one client.
type RateBy struct {
	Source RateSource
	Name   string // of the field
}

// RateSource is a property of requests by which their clients are told apart.
type RateSource string

const (
	RateByClientIP RateSource = "client_ip" // the client's address
	RateByHeader   RateSource = "header"    // a request field
	RateByRoute    RateSource = "route"     // all requests are those of one client
)

// RateMode says what happens to requests beyond a limit.
type RateMode string

const (
	RateEnforce RateMode = "enforce" // 429
	RateReport  RateMode = "report"  // they pass, and metrics and the access log tell how many would be refused
)
