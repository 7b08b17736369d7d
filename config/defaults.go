package config

import (
	"slices"
	"time"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// setDefaults fills in the defaults of omitted keys.
func (c *Config) setDefaults() {
	c.Version = 1
	c.Server = Server{
		Limits: Limits{
			HeaderBytes: 32 * kib, // four times the largest that browsers and proxies send
			BodyBytes:   16 * mib, // an upload of photographs; a larger one must be an explicit choice
			URLBytes:    8 * kib,  // RFC 9110 section 4.1 recommends at least 8000
			QueryParams: 1000,     // parsing more would itself be an attack
			Connections: 20_000,   // about 1 GiB of buffers if all are busy
		},
		Timeouts: ServerTimeouts{
			ReadHeader: 5 * time.Second,   // a header arrives in one round trip; a slower client is a Slowloris attack
			Read:       0,                 // 0: no bound, because it would cut long uploads that make progress
			ReadStall:  30 * time.Second,  // several retransmissions of a lost packet on a bad mobile network
			Write:      0,                 // 0: no bound, because it would cut long downloads and event streams
			WriteStall: 60 * time.Second,  // as nginx's send_timeout and Varnish's idle_send_timeout
			Idle:       120 * time.Second, // above the 60 s of most load balancers in front, so that they close first
			Drain:      30 * time.Second,  // the time that Kubernetes gives a pod before it kills it
		},
	}
	// Loopback, so that a forgotten line does not open the listener to others.
	c.Admin = Admin{Address: "127.0.0.1:9901"}
	c.Writes.setDefaults()
	c.Telemetry = Telemetry{
		ServiceName: "penstock",
		Traces: Traces{
			Exporter:  TracesNone,  // the gateway sends no data unless the operator asks for it
			Sample:    0.01,        // enough for an overview at negligible cost
			Slow:      time.Second, // a duration that users call slow
			Untrusted: UntrustedLink,
		},
		Metrics: Metrics{Prometheus: true}, // free until a client scrapes it
		// Off, because a line costs more than an answer from memory.
		AccessLog: AccessLog{Output: AccessOff, Format: AccessJSON, Sample: 1},
	}
	c.Cache.Memory = MemoryStore{
		Size:      256 * mib, // leaves room in a container of 512 MiB
		MaxObject: 8 * mib,   // a thirty-second of Size, so that no single object evicts many others
	}
}

// setDefaults fills in the defaults of omitted keys.
func (w *WriteQueue) setDefaults() {
	*w = WriteQueue{
		Max:     10_000,                                          // the writes of a quarter of an hour on a busy API; more need an operator
		Size:    256 * mib,                                       // with bodies of 25 KiB, Max is reached first
		MaxBody: mib,                                             // documents and forms; a queue is not for uploads
		Workers: 32,                                              // 1600 writes a second at 20 ms each
		Keep:    time.Hour,                                       // longer than clients repeat a request
		Dead:    DeadLetters{Max: 1000, Age: 7 * 24 * time.Hour}, // a week, in which an operator will look
	}
}

// defaultWrites returns the defaults for writes: the origin applies them.
func defaultWrites() Writes {
	return Writes{
		Policy:  WriteInvalidate,
		Refresh: RefreshRefetch, // a GET returns the right representation, whatever an API answers to writes
		Queue: RouteQueue{
			Retries:    8,                      // about a minute with the waits below: a restart of the origin
			Backoff:    200 * time.Millisecond, // a lost packet
			MaxBackoff: 30 * time.Second,
			DeadLetter: true, // an acknowledged write must not be discarded
		},
	}
}

// setDefaults fills in the defaults of omitted keys.
func (r *RedisStore) setDefaults() {
	*r = RedisStore{
		Prefix:    "penstock",
		Timeout:   25 * time.Millisecond, // fifty times a lookup in one data centre, and too short for a user to notice
		MaxObject: mib,                   // a larger reply blocks its connection for milliseconds
		Compress:  true,                  // memory is the main cost of a shared Redis
		// Longer than a failover of Redis, and short for an operator who waits until a purge holds
		// everywhere.
		MaxCutOff: 30 * time.Second,
	}
}

// setDefaults sets the currency of most clouds' bills. Prices have no sensible default.
func (c *Cost) setDefaults() { c.Currency = "USD" }

// setDefaults sets one alert that leaves time to act, and one when the budget is spent.
func (b *Budget) setDefaults() { b.AlertAt = []float64{0.8, 1} }

// defaultListener returns the listener of a server without `listen`. It is on loopback, for the
// same reason as the admin listener.
func defaultListener() Listener { return Listener{Address: "127.0.0.1:8080", Wire: true} }

// setDefaults fills in the defaults of omitted keys.
func (l *Listener) setDefaults() { l.Wire = true }

// setDefaults fills in the defaults of omitted keys.
func (u *Upstream) setDefaults() {
	*u = Upstream{
		Balance: BalanceP2C, // nearly as good as least_conn at the cost of two comparisons, and no herd on the emptiest target
		Pool: Pool{
			Min:         0,                // traffic opens the connections
			Max:         512,              // 50 000 calls a second to each target at 10 ms each, and half of the usual 1024 file descriptors
			IdleTimeout: 90 * time.Second, // as in net/http
			Wait:        time.Second,      // longer than a burst, shorter than a user's patience
			Upgraded:    10_000,           // open tabs, not calls: each costs a file descriptor and hardly any work
		},
		Timeouts: UpstreamTimeouts{
			Connect:   time.Second,      // a lost SYN is sent again after 1 s, so the second target is quicker
			FirstByte: 60 * time.Second, // long polls and slow reports pass, as with nginx and HAProxy
			Idle:      60 * time.Second, // the same for the pauses within an answer
			Total:     0,                // 0: no bound, because it would cut every long answer, even one that makes progress
		},
		Protocol: ProtocolH1, // every origin supports it
	}
}

// setDefaults gives every target the same share.
func (t *Target) setDefaults() { t.Weight = 1 }

// setDefaults gives the origin's own Cache-Control precedence.
func (a *APIKeys) setDefaults() { a.Header = "X-Api-Key" } // the name that most clients know

func (j *JWT) setDefaults() {
	j.Algorithms = []string{"RS256", "ES256", "EdDSA"} // what providers sign with
	j.Leeway = 30 * time.Second                        // clocks that are kept in step differ by less
}

func (r *CacheControlRule) setDefaults() { r.Mode = CacheControlAbsent }

// setDefaults fills in the defaults of omitted keys.
func (r *Route) setDefaults() {
	*r = Route{
		RequireHTTPS: RequireHTTPSOff,
		Cache:        defaultCache(),
		Coalesce: Coalesce{
			MaxWaiters: 10_000,           // enough for a herd; more waiters would cost more memory than a retry
			Wait:       10 * time.Second, // as long as an upstream may take to its first byte
		},
		Compress: defaultCompress(),
		Writes:   defaultWrites(),
		Upgrade:  UpgradeOff, // an upgraded connection avoids all checks of single requests
	}
}

// setDefaults fills in the defaults of omitted keys. That of Burst depends on the rate.
func (l *RateLimit) setDefaults() {
	*l = RateLimit{By: RateBy{Source: RateByClientIP}, Mode: RateEnforce}
}

// defaultCache returns the behaviour of RFC 9111. If it leaves a choice to the cache, the default
// favours availability.
func defaultCache() Cache {
	return Cache{
		Tiers: []Tier{TierMemory},
		// All of the query in its order, as RFC 9110 compares URLs.
		Key:                  CacheKey{Query: QueryKey{Include: []string{"*"}}},
		Vary:                 Vary{MaxVariants: 32}, // codings times a dozen languages; beyond that, the values of Vary are unbounded
		StaleWhileRevalidate: 0,                     // a stale response without the origin's permission is only for errors
		StaleIfError:         10 * time.Minute,      // the time in which an operator notices the failure
		EarlyRefresh:         1,                     // the optimum of XFetch for exponential fill times
		Authorization:        AuthorizationRFC,
		SetCookie:            SetCookiePass,   // a cookie is usually for one user
		Cookies:              CookiesExplicit, // so is the answer to it, unless the origin says otherwise
		Tags:                 Tags{Header: "Surrogate-Key"},
		ClientDirectives:     ClientDirectivesHonour,
	}
}

func defaultCompress() Compress {
	return Compress{
		Encodings: []Encoding{EncodingZstd, EncodingBr, EncodingGzip}, // ordered by size for the time that they take
		MinSize:   500,                                                // smaller bodies fit into the first packet anyway
		Level:     CompressLevel{Gzip: 6, Br: 5, Zstd: 3},             // beyond these levels, twice the time saves only a few percent
		Types: []string{
			"text/*",
			"application/json", "application/*+json", "application/x-ndjson", "application/manifest+json",
			"application/javascript", "application/x-javascript", "application/wasm",
			"application/xml", "application/*+xml", "image/svg+xml",
			"image/x-icon", "image/vnd.microsoft.icon", "image/bmp",
			"font/ttf", "font/otf", "application/vnd.ms-fontobject", // woff and woff2 are already compressed
		},
	}
}

// complete fills in the defaults that depend on other keys.
func (c *Config) complete(root *node) {
	if root.get("server").get("listen") == nil {
		c.Server.Listen = []Listener{defaultListener()}
	}
	for name, u := range c.Upstreams {
		u.Name = name
	}
	for i, r := range c.Routes {
		r.complete(item(root.get("routes"), i), c.Server.Limits)
		r.completeTiers(item(root.get("routes"), i), c.Cache.Redis != nil)
		r.completeParts(item(root.get("routes"), i))
	}
}

// completeTiers uses all configured tiers if the route does not choose.
func (r *Route) completeTiers(n *node, redis bool) {
	if redis && n.get("cache").get("tiers") == nil {
		r.Cache.Tiers = []Tier{TierMemory, TierRedis}
	}
	if n.get("coalesce").get("across_instances") == nil {
		r.Coalesce.AcrossInstances = r.Coalesce.Enabled && redis && slices.Contains(r.Cache.Tiers, TierRedis)
	}
}

// complete fills in the defaults that depend on other keys. n is the route's node.
func (r *Route) complete(n *node, limits Limits) {
	if n.get("coalesce").get("enabled") == nil {
		r.Coalesce.Enabled = r.Cache.Enabled
	}
	if compress := n.get("compress"); compress != nil && compress.get("enabled") == nil {
		r.Compress.Enabled = true
	}
	if n.get("limits").get("body_bytes") == nil {
		r.Limits.BodyBytes = limits.BodyBytes
	}
	if l := r.RateLimit; l != nil && l.Rate.Per > 0 && n.get("rate_limit").get("burst") == nil {
		l.Burst = min(max(1, int(time.Duration(l.Rate.Requests)*time.Second/l.Rate.Per)), maxPerSecond) // a browser sends the requests of a page at once
	}
	for i := range r.Errors {
		if e := &r.Errors[i]; e.Body != "" && e.ContentType == "" {
			e.ContentType = "text/plain; charset=utf-8" // browsers sniff a body without a type, and run scripts in it if it looks like HTML
		}
	}
}

// item returns an element of a list, or nil if the index is too large.
func item(n *node, i int) *node {
	if n == nil || i >= len(n.items) {
		return nil
	}
	return n.items[i]
}
