package config

import (
	"slices"
	"time"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// setDefaults fills in what a file may leave out.
func (c *Config) setDefaults() {
	c.Version = 1
	c.Server = Server{
		Limits: Limits{
			HeaderBytes: 32 * kib, // four times what browsers and proxies send at their largest
			BodyBytes:   16 * mib, // an upload of photographs; more is a decision
			URLBytes:    8 * kib,  // RFC 9110 section 4.1 recommends at least 8000
			QueryParams: 1000,     // beyond it, parsing is the attack
			Connections: 20_000,   // about 1 GiB of buffers when all are busy
		},
		Timeouts: ServerTimeouts{
			ReadHeader: 5 * time.Second,   // a header comes in one round trip; slower is Slowloris
			Read:       60 * time.Second,  // BodyBytes at 2 Mbit/s
			Write:      0,                 // none: it would cut long downloads and event streams
			Idle:       120 * time.Second, // above the 60 s of most load balancers in front, which then close first
			Drain:      30 * time.Second,  // what Kubernetes gives a pod before it kills it
		},
	}
	// Loopback, so that nothing is open to others because a line was forgotten.
	c.Admin = Admin{Address: "127.0.0.1:9901"}
	c.Writes.setDefaults()
	c.Telemetry = Telemetry{
		ServiceName: "penstock",
		Traces: Traces{
			Exporter:  TracesNone,  // nothing is sent to anybody unasked
			Sample:    0.01,        // enough for a picture, and nothing that shows in the costs
			Slow:      time.Second, // what users call slow
			Untrusted: UntrustedLink,
		},
		Metrics: Metrics{Prometheus: true}, // costs nothing until somebody asks
		// Off: a line costs more than the answer from memory that it tells of.
		AccessLog: AccessLog{Output: AccessOff, Format: AccessJSON, Sample: 1},
	}
	c.Cache.Memory = MemoryStore{
		Size:      256 * mib, // leaves room in a container of 512 MiB
		MaxObject: 8 * mib,   // a thirty-second of Size: no single object pushes out many
	}
}

// setDefaults fills in what a file may leave out.
func (w *WriteQueue) setDefaults() {
	*w = WriteQueue{
		Max:     10_000,                                          // a quarter of an hour's writes of a busy API; beyond it somebody has to look
		Size:    256 * mib,                                       // with bodies of 25 KiB Max comes first
		MaxBody: mib,                                             // documents and forms; uploads are not for a queue
		Workers: 32,                                              // at 20 ms a call 1600 writes a second
		Keep:    time.Hour,                                       // longer than clients repeat a request
		Dead:    DeadLetters{Max: 1000, Age: 7 * 24 * time.Hour}, // a week in which somebody comes to look
	}
}

// defaultWrites leaves writes to the origin.
func defaultWrites() Writes {
	return Writes{
		Policy:  WriteInvalidate,
		Refresh: RefreshRefetch, // what a GET brings is right whatever an API answers to writes
		Queue: RouteQueue{
			Retries:    8,                      // a minute or so with the waits below: a restart of the origin
			Backoff:    200 * time.Millisecond, // a lost packet
			MaxBackoff: 30 * time.Second,
			DeadLetter: true, // what was acknowledged is not thrown away
		},
	}
}

// setDefaults fills in what a file may leave out.
func (r *RedisStore) setDefaults() {
	*r = RedisStore{
		Prefix:    "penstock",
		Timeout:   25 * time.Millisecond, // fifty times what a lookup takes in one data centre, and less than a user notices
		MaxObject: mib,                   // a larger reply blocks its connection for milliseconds
		Compress:  true,                  // memory is what a shared Redis costs
	}
}

// setDefaults names the currency that most clouds bill in; prices nobody can guess.
func (c *Cost) setDefaults() { c.Currency = "USD" }

// setDefaults warns when there is still something to be done, and when there is not.
func (b *Budget) setDefaults() { b.AlertAt = []float64{0.8, 1} }

// defaultListener is where a server without `listen` listens: on loopback, for the reason of the admin's.
func defaultListener() Listener { return Listener{Address: "127.0.0.1:8080", Wire: true} }

// setDefaults fills in what a file may leave out.
func (l *Listener) setDefaults() { l.Wire = true }

// setDefaults fills in what a file may leave out.
func (u *Upstream) setDefaults() {
	*u = Upstream{
		Balance: BalanceP2C, // near to least_conn at the price of two looks, and no herd on the emptiest target
		Pool: Pool{
			Min:         0,                // connections come with traffic
			Max:         512,              // at 10 ms a call 50 000 calls a second for each target, and half of the usual 1024 file descriptors
			IdleTimeout: 90 * time.Second, // as net/http has it
			Wait:        time.Second,      // longer than a burst, shorter than a user's patience
		},
		Timeouts: UpstreamTimeouts{
			Connect:   time.Second,      // one lost SYN is sent again after 1 s: the second target is quicker
			FirstByte: 10 * time.Second, // slow reports pass, hung processes do not hold a connection for minutes
			Idle:      30 * time.Second, // event streams send a comment every 15 s or so
			Total:     60 * time.Second, // the end of any call, whatever the others allow
		},
		Protocol: ProtocolH1, // what every origin speaks
	}
}

// setDefaults gives every target the same share.
func (t *Target) setDefaults() { t.Weight = 1 }

// setDefaults lets the origin's own word win.
func (r *CacheControlRule) setDefaults() { r.Mode = CacheControlAbsent }

// setDefaults fills in what a file may leave out.
func (r *Route) setDefaults() {
	*r = Route{
		RequireHTTPS: RequireHTTPSOff,
		Cache:        defaultCache(),
		Coalesce: Coalesce{
			MaxWaiters: 10_000,           // a herd fits; beyond it, waiting costs more memory than a client that comes again
			Wait:       10 * time.Second, // as long as an upstream may take to its first byte
		},
		Compress: defaultCompress(),
		Writes:   defaultWrites(),
		Upgrade:  UpgradeOff, // an upgraded connection passes all checks of single requests
	}
}

// defaultCache is RFC 9111 as it stands, with what it leaves to the cache chosen for availability.
func defaultCache() Cache {
	return Cache{
		Tiers:                []Tier{TierMemory},
		Key:                  CacheKey{Query: QueryKey{Include: []string{"*"}}}, // all of the query, in its order: what RFC 9110 says two URLs are told apart by
		Vary:                 Vary{MaxVariants: 32},                             // encodings times a dozen languages; beyond it, Vary is on something unbounded
		StaleWhileRevalidate: 0,                                                 // stale without the origin's word only when it fails
		StaleIfError:         10 * time.Minute,                                  // the time in which somebody notices
		EarlyRefresh:         1,                                                 // the optimum of XFetch for exponential fill times
		Authorization:        AuthorizationRFC,
		SetCookie:            SetCookiePass, // a cookie is mostly one user's
		Tags:                 Tags{Header: "Surrogate-Key"},
		ClientDirectives:     ClientDirectivesHonour,
	}
}

func defaultCompress() Compress {
	return Compress{
		Encodings: []Encoding{EncodingZstd, EncodingBr, EncodingGzip}, // by size for the time that they take
		MinSize:   500,                                                // smaller bodies fit into the first packet anyway
		Level:     CompressLevel{Gzip: 6, Br: 5, Zstd: 3},             // where each one's curve bends: twice the time beyond saves a few percent
		Types: []string{
			"text/*",
			"application/json", "application/*+json", "application/x-ndjson", "application/manifest+json",
			"application/javascript", "application/x-javascript", "application/wasm",
			"application/xml", "application/*+xml", "image/svg+xml",
			"image/x-icon", "image/vnd.microsoft.icon", "image/bmp",
			"font/ttf", "font/otf", "application/vnd.ms-fontobject", // woff and woff2 are compressed already
		},
	}
}

// complete fills in the defaults that depend on what else was written.
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

// completeTiers uses all tiers that are configured, where the route does not choose.
func (r *Route) completeTiers(n *node, redis bool) {
	if redis && n.get("cache").get("tiers") == nil {
		r.Cache.Tiers = []Tier{TierMemory, TierRedis}
	}
	if n.get("coalesce").get("across_instances") == nil {
		r.Coalesce.AcrossInstances = r.Coalesce.Enabled && redis && slices.Contains(r.Cache.Tiers, TierRedis)
	}
}

// complete fills in the defaults that depend on what else was written; n is the route's node.
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
	for i := range r.Errors {
		if e := &r.Errors[i]; e.Body != "" && e.ContentType == "" {
			e.ContentType = "text/plain; charset=utf-8" // never sniffed: a body that could be taken for HTML runs scripts
		}
	}
}

// item is an element of a list; nil when there is none.
func item(n *node, i int) *node {
	if n == nil || i >= len(n.items) {
		return nil
	}
	return n.items[i]
}
