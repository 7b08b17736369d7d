package demo

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// The amount of traffic in the measurements.
const (
	herd    = 200 // concurrent clients
	repeats = 50  // requests of a plain row
	workers = 10  // connections of a plain row
	keys    = 20  // different objects of a row about expiry
	visits  = 5   // page views of the row about N+1
)

// quick bounds the times of responses from the cache. It leaves room for the other work of a busy
// machine.
const quick = 100 * time.Millisecond

// Row is one line of the table: the effect of one lever.
type Row struct {
	Lever, Claim  string
	Before, After Sample
	Facts         bool // true if the counts support the claim
	Met           bool // true if the times support it too
}

// lever is something that the gateway does for its clients or its origins. facts judges the counts,
// which are the same on every machine. times judges the times, if the claim has any.
type lever struct {
	name, claim string
	run         func(context.Context, *stage) (before, after Sample)
	facts       func(before, after Sample) bool
	times       func(after Sample) bool
}

func levers() []lever {
	under := func(a Sample) bool { return a.Median < quick && a.P99 < quick }
	return []lever{
		{"API that takes 500 ms, answered from cache", "median and p99 under 100 ms", cached, func(b, a Sample) bool {
			return b.Median >= reportTime && a.Calls == 1
		}, under},
		{fmt.Sprintf("Herd: %d clients at once, cold key", herd), "1 origin call, all responses equal", stampede, func(b, a Sample) bool {
			return b.Calls == herd && a.Calls == 1 && a.Bodies == 1
		}, nil},
		{"Fan-out: 3 calls of 100 ms for one page", "the time of one call, not the sum", fannedOut, func(b, a Sample) bool {
			return b.Calls == a.Calls && b.Median >= 3*partTime && a.Bodies == 1
		}, func(a Sample) bool { return a.Median < 2*partTime }},
		{"N+1: a list, then 100 items", "origin asked only for the first view", nPlusOne, func(b, a Sample) bool {
			return b.Calls == visits*(itemsPerOrder+1) && a.Calls == itemsPerOrder+1
		}, nil},
		{"N+1: 100 calls to 1, by a batch", "one call for all items, one response", batched, func(b, a Sample) bool {
			return b.Calls == visits*(itemsPerOrder+1) && a.Calls == 2 && a.Bodies == 1
		}, nil},
		{"Compression of JSON", "under a third of the bytes", compressed, func(b, a Sample) bool {
			return a.Bytes*3 < b.Bytes
		}, nil},
		{"Return visits: 304 from cache", "the body is sent once, 1 origin call", conditional, func(b, a Sample) bool {
			return a.Statuses[http.StatusNotModified] == a.Asked && a.Bytes*10 < b.Bytes && a.Calls == 1
		}, nil},
		{"no-cache object (bytes from origin)", "validated each time, fetched once", revalidated, func(b, a Sample) bool {
			return a.Bytes*10 < b.Bytes && a.Bodies == 1
		}, nil},
		{"At expiry: stale-while-revalidate", "no client waits for the refresh", expired, func(b, a Sample) bool {
			return b.Median >= rateTime && a.Calls == 2*keys
		}, under},
		{"Origin down: stale-if-error", "every request is answered", originDown, func(b, _ Sample) bool {
			return b.Answered == 0
		}, nil},
		{"Ranges from cache", "cut from the stored object", ranges, func(b, a Sample) bool {
			return a.Statuses[http.StatusPartialContent] == a.Asked && a.Calls == 1 && a.Bodies == b.Bodies
		}, nil},
		{"Cost: visits to a shop", "30 % cheaper or more", bill, func(b, a Sample) bool {
			return a.Micros > 0 && a.Micros*10 <= b.Micros*7
		}, nil},
		{"Price: a response that may not be cached", "every request reaches the origin", uncacheable, func(b, a Sample) bool {
			return a.Calls == b.Calls
		}, nil},
	}
}

// measure runs one lever. Apart from its claim, the gateway must answer every request.
func (l *lever) measure(ctx context.Context, s *stage) Row {
	before, after := l.run(ctx, s)
	facts := after.Asked > 0 && after.Answered == after.Asked && l.facts(before, after)
	return Row{Lever: l.name, Claim: l.claim, Before: before, After: after, Facts: facts, Met: facts && (l.times == nil || l.times(after))}
}

// burst is one measurement. It warms up the connections and sends first to fill the cache, then
// times the asks. Origin calls and bytes are counted from before first, so they include the filling
// of the cache.
func (s *stage) burst(ctx context.Context, c *client, first, asks []ask, parallel int) Sample {
	c.warm(ctx, parallel)
	calls, bytes := s.calls(), c.received.Load()
	c.all(ctx, parallel, first)
	sample := summary(c.all(ctx, parallel, asks))
	sample.Calls, sample.Bytes = s.calls()-calls, c.received.Load()-bytes
	return sample
}

// both measures the same burst at an origin and through the gateway.
func (s *stage) both(ctx context.Context, o *origin, first, asks []ask, parallel int) (before, after Sample) {
	before = s.burst(ctx, s.direct(o), first, asks, parallel)
	return before, s.burst(ctx, s.through, first, asks, parallel)
}

func cached(ctx context.Context, s *stage) (before, after Sample) {
	return s.both(ctx, s.api, same(1, "/api/report", nil), same(repeats, "/api/report", nil), workers)
}

func stampede(ctx context.Context, s *stage) (before, after Sample) {
	return s.both(ctx, s.api, nil, same(herd, "/api/report?of=herd", nil), herd)
}

func compressed(ctx context.Context, s *stage) (before, after Sample) {
	accept := http.Header{"Accept-Encoding": {"gzip, br, zstd"}}
	return s.both(ctx, s.web, nil, same(repeats, "/catalog.json", accept), workers)
}

// conditional compares clients without stored responses with clients that send a validator.
func conditional(ctx context.Context, s *stage) (before, after Sample) {
	f := s.picture()
	again := http.Header{"If-None-Match": {f.etag()}}
	before = s.burst(ctx, s.direct(s.web), nil, same(repeats, f.name, nil), workers)
	return before, s.burst(ctx, s.through, same(1, f.name, nil), same(repeats, f.name, again), workers)
}

// revalidated counts the bytes that the origin sends instead of the bytes that clients receive.
func revalidated(ctx context.Context, s *stage) (before, after Sample) {
	path := "/live" + s.picture().name
	sent := s.sent()
	before = s.burst(ctx, s.direct(s.web), nil, same(repeats, path, nil), 1)
	before.Bytes = s.sent() - sent
	sent = s.sent()
	after = s.burst(ctx, s.through, nil, same(repeats, path, nil), 1)
	after.Bytes = s.sent() - sent
	return before, after
}

// expired requests objects whose freshness of one second is over.
func expired(ctx context.Context, s *stage) (before, after Sample) {
	asks := different(keys, "/api/rate")
	before = s.burst(ctx, s.direct(s.api), nil, asks, keys)
	calls := s.calls()
	s.through.all(ctx, keys, asks)
	pause(ctx, 1200*time.Millisecond)
	after = s.burst(ctx, s.through, nil, asks, keys)
	pause(ctx, 2*rateTime) // the background refreshes are calls too
	after.Calls = s.calls() - calls
	return before, after
}

// originDown requests expired objects while their origin is down.
func originDown(ctx context.Context, s *stage) (before, after Sample) {
	asks := different(keys, "/quotes")
	direct := s.direct(s.quotes)
	calls := s.calls()
	s.through.all(ctx, workers, asks)
	pause(ctx, 1200*time.Millisecond)
	s.quotes.close()
	before = summary(direct.all(ctx, workers, asks))
	after = s.burst(ctx, s.through, nil, asks, workers)
	after.Calls = s.calls() - calls
	return before, after
}

func ranges(ctx context.Context, s *stage) (before, after Sample) {
	name := s.file("/book.txt").name
	var asks []ask
	for i := range repeats {
		asks = append(asks, ask{name, http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", i*1000, i*1000+999)}}})
	}
	return s.both(ctx, s.web, same(1, name, nil), asks, workers)
}

func uncacheable(ctx context.Context, s *stage) (before, after Sample) {
	return s.both(ctx, s.api, nil, same(4*repeats, "/api/account", nil), workers)
}

// different returns requests for n objects.
func different(n int, path string) []ask {
	var asks []ask
	for i := range n {
		asks = append(asks, ask{fmt.Sprintf("%s?k=%d", path, i), nil})
	}
	return asks
}

// nPlusOne times page views: the list, then each item that it names, one after the other, as
// typical client code does.
func nPlusOne(ctx context.Context, s *stage) (before, after Sample) {
	return s.views(ctx, s.direct(s.orders)), s.views(ctx, s.through)
}

// batched compares such page views with one request. The gateway combines its response from the
// list and all items.
func batched(ctx context.Context, s *stage) (before, after Sample) {
	return s.views(ctx, s.direct(s.orders)), s.burst(ctx, s.through, nil, same(visits, "/order-view", nil), 1)
}

// fannedOut compares a client that makes three calls in turn with a gateway that makes them in
// parallel.
func fannedOut(ctx context.Context, s *stage) (before, after Sample) {
	before = s.pages(ctx, s.direct(s.orders), func(ctx context.Context, c *client) answer {
		var asks []ask
		for _, part := range profileParts {
			asks = append(asks, ask{"/profile/" + part, nil})
		}
		return inTurn(ctx, c, asks)
	})
	return before, s.burst(ctx, s.through, nil, same(visits, "/profile", nil), 1)
}

// views measures page views that request the list and each of its items.
func (s *stage) views(ctx context.Context, c *client) Sample { return s.pages(ctx, c, view) }

func (s *stage) pages(ctx context.Context, c *client, view func(context.Context, *client) answer) Sample {
	c.warm(ctx, 1)
	calls, bytes := s.calls(), c.received.Load()
	var pages []answer
	for range visits {
		pages = append(pages, view(ctx, c))
	}
	sample := summary(pages)
	sample.Calls, sample.Bytes = s.calls()-calls, c.received.Load()-bytes
	return sample
}

// view is one page view as one answer: it takes as long as all its requests together, and is as
// good as the worst of them.
func view(ctx context.Context, c *client) answer {
	asks := []ask{{"/orders", nil}}
	for id := 1; id <= itemsPerOrder; id++ {
		asks = append(asks, ask{fmt.Sprintf("/items/%d", id), nil})
	}
	return inTurn(ctx, c, asks)
}

// inTurn sends the requests one after the other.
func inTurn(ctx context.Context, c *client, asks []ask) answer {
	start := time.Now()
	page := c.one(ctx, asks[0])
	for _, next := range asks[1:] {
		if a := c.one(ctx, next); !a.good() {
			page = a
		}
	}
	page.took = time.Since(start)
	return page
}
