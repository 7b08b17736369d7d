package advice

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/proxy/observe"
)

// Advice is one recommendation with its evidence.
type Advice struct {
	// Kind is one of a fixed list: cookies, uncached, unstored, query, batch, compress, slow,
	// large, memory, instances.
	Kind     string   `json:"kind"`
	Subject  string   `json:"subject"` // for example "route api"
	Advice   string   `json:"advice"`
	Evidence []string `json:"evidence"`
	// YAML is for pasting at the place that Where names: under the route or upstream, or at the top
	// level. It is "" if there is nothing to paste.
	Where   string `json:"where,omitempty"`
	YAML    string `json:"yaml,omitempty"`
	Caution string `json:"caution,omitempty"`
	weight  float64
}

// The evidence that advice requires.
const (
	leastSampled  = 50
	leastUses     = 2000 // uses in the Ghost's sample
	leastShare    = 0.2  // of a route's requests
	leastSaving   = 0.03 // gain in the hit ratio
	littleSaving  = 0.005
	leastBytes    = 64 << 10 // bytes sent uncoded, in the sample
	largePage     = 1 << 20
	slowRatio     = 5 // ratio of the 99th percentile to the median
	slowLeast     = 100 * time.Millisecond
	leastObserved = 10 * time.Minute // uptime of an instance
)

// Advise returns the advice that e supports, sorted by gain.
func Advise(e *Evidence) []Advice {
	a := &adviser{Evidence: e, totals: totalsOf(&e.Meter)}
	for i := range e.Routes {
		r := &e.Routes[i]
		if r.Sampled < leastSampled {
			continue
		}
		a.cookies(r)
		a.uncached(r)
		a.unstored(r)
		a.query(r)
		a.batch(r)
		a.compress(r)
		a.large(r)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Upstreams)) {
		a.slow(name)
	}
	a.memory()
	a.instances()
	slices.SortStableFunc(a.list, func(x, y Advice) int { return cmp.Compare(y.weight, x.weight) })
	return a.list
}

type adviser struct {
	*Evidence
	totals map[string]totals
	list   []Advice
}

// totals are the Meter's figures for a route. They cover all requests.
type totals struct {
	requests, hits, origin, out uint64
	latency                     observe.Histogram
}

func totalsOf(r *observe.Reading) map[string]totals {
	by := make(map[string]totals)
	for i := range r.Rows {
		row := &r.Rows[i]
		t := by[row.Route]
		t.requests += row.Requests
		t.origin += row.OriginRequests
		t.out += row.BytesOut
		switch row.Cache {
		case observe.CacheHit, observe.CacheStale, observe.CacheRefreshed, observe.CacheCollapsed:
			t.hits += row.Requests
		}
		t.latency.Add(&row.Latency)
		by[row.Route] = t
	}
	return by
}

func (a *adviser) add(weight float64, x Advice) {
	x.weight = weight
	a.list = append(a.list, x)
}

// repeats returns the share of a route's requests for a URL that was requested before.
func repeats(r *RouteEvidence) float64 { return max(0, 1-r.URLs/float64(r.Sampled)) }

func percent(share float64) string { return strconv.FormatFloat(100*share, 'f', 0, 64) + " %" }

func bytes(n float64) string {
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if n < 1024 || unit == "GiB" {
			return strconv.FormatFloat(n, 'f', min(1, int(n)&1), 64) + " " + unit
		}
		n /= 1024
	}
	return ""
}

func routeName(r *RouteEvidence) string { return "route " + r.Name }

func inRoute(r *RouteEvidence) string { return "under the route " + r.Name }

// uncached finds routes without a cache whose responses could be cached.
func (a *adviser) uncached(r *RouteEvidence) {
	if r.Cached || r.personal() {
		return
	}
	seen := uint64(0)
	for _, n := range r.Obstacles {
		seen += n
	}
	again := repeats(r)
	if seen < leastSampled/5 || again < leastShare {
		return
	}
	t := a.totals[r.Name]
	evidence := []string{
		fmt.Sprintf("%d requests, all sent to the origin; about %s of them were for a URL that was requested before", t.requests, percent(again)),
	}
	fine := r.Obstacles["none"]
	if float64(fine) >= leastShare*float64(seen) {
		evidence = append(evidence, fmt.Sprintf("%s of the sampled responses (%d of %d) allow storing", percent(float64(fine)/float64(seen)), fine, seen))
		a.add(float64(t.origin)*again, Advice{
			Kind: "uncached", Subject: routeName(r), Advice: "give it a cache: the origin's own Cache-Control allows it", Evidence: evidence,
			Where: inRoute(r), YAML: YAML(Setting{"cache.enabled", "true"}),
		})
		return
	}
	stale := r.Obstacles["no-freshness"] + r.Obstacles["stale"]
	if float64(stale) < leastShare*float64(seen) {
		return
	}
	evidence = append(evidence, fmt.Sprintf("%s of the sampled responses have no caching headers", percent(float64(stale)/float64(seen))))
	a.add(float64(t.origin)*again, Advice{
		Kind: "uncached", Subject: routeName(r), Advice: "give it a cache with a short lifetime, or have the origin send Cache-Control", Evidence: evidence,
		Where: inRoute(r), YAML: YAML(Setting{"cache.enabled", "true"}, Setting{"cache.ttl.default", "10s"}),
		Caution: "only if the responses are the same for every client that requests the URL",
	})
}

// unstoredFixes lists, by reason, the settings that let a response be stored.
var unstoredFixes = map[string]struct {
	what, caution string
	settings      []Setting
}{
	"no-freshness": {"set a default lifetime, or have the origin send Cache-Control", "choose a lifetime for which a stale response is acceptable, and only if all clients without cookies get the same response; requests with a cookie do not share it", []Setting{{"cache.ttl.default", "30s"}}},
	"set-cookie":   {"remove Set-Cookie from stored responses, or have the origin set no cookie here", "only if the responses are the same for every client", []Setting{{"cache.set_cookie", "strip"}}},
	"cookie": {"put the cookies that select the response into cache.key.cookies, list cookies without effect in cache.ignore_cookies, or have the origin send " +
		"Cache-Control: public, max-age for responses that are the same for every client", "ignore only cookies that do not change the origin's response; `penstock explain` with the request's Cookie names them",
		[]Setting{{"cache.ignore_cookies", "[_ga*, _gid]"}}},
	"authorization": {"store separate responses for each Authorization value, or have the origin send Cache-Control: public for responses that all clients may share", "", []Setting{{"cache.authorization", "key"}}},
	"private": {"override the origin's Cache-Control: private", "only if the responses are the same for every client",
		[]Setting{{"cache_control", `[{when: {status: [200]}, set: "public, max-age=60", mode: override}]`}}},
	"no-store": {"override the origin's Cache-Control: no-store", "only if the responses are the same for every client",
		[]Setting{{"cache_control", `[{when: {status: [200]}, set: "public, max-age=60", mode: override}]`}}},
	"vary-any":         {"remove Vary from the responses, or have the origin name the request fields on which they depend", "only if the responses are the same for every client", []Setting{{"headers.response.remove", "[Vary]"}}},
	"request-no-cache": {"ignore the clients' no-cache", "", []Setting{{"cache.client_directives", "ignore"}}},
	"request-no-store": {"ignore the clients' no-store", "", []Setting{{"cache.client_directives", "ignore"}}},
	"request-max-age":  {"ignore the clients' max-age", "", []Setting{{"cache.client_directives", "ignore"}}},
}

// sharesMore lists the reasons whose fix would share one user's response with others if the
// responses depend on cookies.
var sharesMore = map[string]bool{"set-cookie": true, "cookie": true, "private": true, "no-store": true, "vary-any": true}

// unstored finds the reasons why responses of a cached route are not stored.
func (a *adviser) unstored(r *RouteEvidence) {
	if !r.Cached {
		return
	}
	for _, reason := range slices.Sorted(maps.Keys(r.Reasons)) {
		share := float64(r.Reasons[reason]) / float64(r.Sampled)
		fix, ok := unstoredFixes[reason]
		if !ok || share < leastShare || r.personal() && sharesMore[reason] {
			continue
		}
		t := a.totals[r.Name]
		a.add(float64(t.origin)*share*max(repeats(r), 0.1), Advice{
			Kind: "unstored", Subject: routeName(r), Advice: fix.what,
			Evidence: []string{
				fmt.Sprintf("for %s of its requests the cache is not used or the response is not stored, because of %s", percent(share), reason),
				fmt.Sprintf("about %s of its requests are for a URL that was requested before", percent(repeats(r))),
			},
			Where: inRoute(r), YAML: YAML(fix.settings...), Caution: fix.caution,
		})
	}
}

// trackers lists parameters that serve advertisers and not the origin.
var trackers = []string{"utm_", "fbclid", "gclid", "msclkid", "mc_cid", "mc_eid", "_ga", "dclid", "yclid", "igshid", "twclid", "ttclid"}

func isTracker(name string) bool {
	return slices.ContainsFunc(trackers, func(p string) bool { return strings.HasPrefix(name, p) })
}

// query finds parameters that split the cache although the content does not depend on them.
func (a *adviser) query(r *RouteEvidence) {
	if !r.Cached {
		return
	}
	var exclude, evidence []string
	split := uint64(0)
	for _, name := range slices.Sorted(maps.Keys(r.Params)) {
		p := r.Params[name]
		pairs := p.Same + p.Differ
		alike := pairs >= 10 && float64(p.Same) >= 0.95*float64(pairs)
		if p.Values < 3 || p.N < leastSampled/5 || !alike && !(isTracker(name) && p.Differ == 0) {
			continue
		}
		pattern := name
		if strings.HasPrefix(name, "utm_") {
			pattern = "utm_*"
		}
		if !slices.Contains(exclude, pattern) {
			exclude = append(exclude, pattern)
		}
		split = max(split, p.N)
		evidence = append(evidence, fmt.Sprintf("%s is in %s of its requests, with about %.0f values; of %d pairs that differ only in it, %d got the same content",
			name, percent(float64(p.N)/float64(r.Sampled)), p.Values, pairs, p.Same))
	}
	if len(exclude) == 0 {
		return
	}
	t := a.totals[r.Name]
	for i, name := range exclude {
		exclude[i] = strconv.Quote(name)
	}
	a.add(float64(t.origin)*float64(split)/float64(r.Sampled), Advice{
		Kind: "query", Subject: routeName(r), Advice: "exclude the parameters from the key and from requests to the origin", Evidence: evidence,
		Where: inRoute(r), YAML: YAML(Setting{"cache.key.query.exclude", "[" + strings.Join(exclude, ", ") + "]"}),
		Caution: "the origin no longer sees them; if it logs them, log them elsewhere",
	})
}

// batch finds bursts of single reads.
func (a *adviser) batch(r *RouteEvidence) {
	t := a.totals[r.Name]
	if r.Batched || r.Bursts < 5 || float64(r.Burst) < leastShare*float64(t.requests)/2 {
		return
	}
	mean := float64(r.Burst) / float64(r.Bursts)
	a.add(float64(t.origin)*(1-1/mean), Advice{
		Kind: "batch", Subject: routeName(r), Advice: "combine concurrent single reads into one call, if the origin has a call for several ids",
		Evidence: []string{fmt.Sprintf("%d bursts of reads of different objects by one client, each within %v of the previous one: %.0f on average, %d at most; %d of %d requests are in a burst",
			r.Bursts, burstGap, mean, r.Largest, r.Burst, t.requests)},
		Where:   inRoute(r) + ", in place of its upstream",
		YAML:    YAML(Setting{"batch", fmt.Sprintf(`{upstream: %s, path: "/items?ids={ids}", window: 2ms, max: 100, key: id}`, r.Upstream)}),
		Caution: "replace the path by that of your origin's call for several ids",
	})
}

// compress finds responses that are sent uncoded to clients that accept a coding.
func (a *adviser) compress(r *RouteEvidence) {
	if r.Compress {
		return
	}
	plain, n := uint64(0), uint64(0)
	var names []string
	for _, name := range slices.Sorted(maps.Keys(r.Types)) {
		if t := r.Types[name]; t.Plain > 0 {
			plain, n, names = plain+t.PlainBytes, n+t.Plain, append(names, name)
		}
	}
	t := a.totals[r.Name]
	share := float64(plain) / max(1, r.MeanBytes*float64(r.Sampled))
	if float64(t.out)*share < leastBytes || float64(n) < leastShare*float64(r.Sampled) {
		return
	}
	a.add(float64(t.out)*share/(10<<10), Advice{
		Kind: "compress", Subject: routeName(r), Advice: "compress it: such text usually shrinks to a fifth",
		Evidence: []string{fmt.Sprintf("%s of its responses (%s) were sent uncoded to clients that accept gzip: about %s of %s sent",
			percent(float64(n)/float64(r.Sampled)), strings.Join(names, ", "), bytes(float64(t.out)*min(1, share)), bytes(float64(t.out)))},
		Where: inRoute(r), YAML: YAML(Setting{"compress", "{}"}),
	})
}

// large finds responses that are too large to be stored, and JSON lists that should have pages.
func (a *adviser) large(r *RouteEvidence) {
	t := a.totals[r.Name]
	if large := r.Reasons["too-large"]; float64(large) >= leastShare*float64(r.Sampled) && a.Memory.MaxObject > 0 {
		size := int64(1) << int(math.Ceil(math.Log2(float64(max(r.LargeBytes, 2*a.Memory.MaxObject)))))
		a.add(float64(t.origin)*float64(large)/float64(r.Sampled), Advice{
			Kind: "large", Subject: routeName(r), Advice: "allow larger objects in memory, if it has room for them",
			Evidence: []string{fmt.Sprintf("%s of its responses exceed cache.memory.max_object, which is %s, and are fetched each time", percent(float64(large)/float64(r.Sampled)), bytes(float64(a.Memory.MaxObject)))},
			Where:    "at the top", YAML: YAML(Setting{"cache.memory.size", mib(a.Memory.Size)}, Setting{"cache.memory.max_object", mib(size)}),
		})
	}
	json := uint64(0)
	for name, kind := range r.Types {
		if strings.HasSuffix(name, "json") {
			json += kind.N
		}
	}
	if r.Paginated || r.LargeBytes < largePage || float64(json) < float64(r.Sampled)/2 {
		return
	}
	a.add(float64(t.out)/(10<<10)/2, Advice{
		Kind: "large", Subject: routeName(r), Advice: "give it pages, so that one request cannot ask for everything",
		Evidence: []string{fmt.Sprintf("JSON of %s on average; one in a hundred responses has %s or more", bytes(r.MeanBytes), bytes(float64(r.LargeBytes/2)))},
		Where:    inRoute(r), YAML: YAML(Setting{"paginate", "{limit: {param: limit, default: 50, max: 100}, cursor: {param: cursor, next: pagination.next_cursor}}"}),
		Caution: "for lists whose origin has a limit and a cursor; write their parameter names",
	})
}

// slow finds upstreams whose slowest responses take much longer than the median.
func (a *adviser) slow(name string) {
	h := a.Upstreams[name]
	median, slowest := h.Quantile(0.5), h.Quantile(0.99)
	if h.Count < 200 || slowest < slowLeast || slowest < slowRatio*median {
		return
	}
	limit := max(time.Second, (2 * slowest).Round(time.Second))
	a.add(float64(h.Count)/100, Advice{
		Kind: "slow", Subject: "upstream " + name, Advice: "limit the wait for its first byte; then stored responses are served stale instead (cache.stale_if_error). More targets spread the load",
		Evidence: []string{fmt.Sprintf("of %d calls, half get a first byte within %v, and one in a hundred takes %v or more", h.Count, median.Round(time.Millisecond), slowest.Round(time.Millisecond))},
		Where:    "under the upstream " + name, YAML: YAML(Setting{"timeouts.first_byte", Duration(limit)}),
		Caution: "this version does not support a second try on another target while the first is slow (hedging)",
	})
}

func mib(n int64) string {
	if n >= 1<<20 {
		return strconv.FormatInt((n+1<<19)>>20, 10) + "MiB"
	}
	return strconv.FormatInt(max(1, n>>10), 10) + "KiB"
}

// memory compares the hit ratio at the memory tier's size with those at half and double the size.
func (a *adviser) memory() {
	m := &a.Memory
	if m.Uses < leastUses {
		return
	}
	evidence := []string{
		fmt.Sprintf("of %d uses in a sample of the keys, %.1f %% would be hits at half the size, %.1f %% at %s, %.1f %% at double", m.Uses, 100*m.Half, 100*m.Same, bytes(float64(m.Size)), 100*m.Double),
		fmt.Sprintf("%s are in use", bytes(float64(m.Used))),
	}
	requests := 0.0
	for _, t := range a.totals {
		requests += float64(t.requests)
	}
	switch {
	case m.Double-m.Same >= leastSaving && m.Evicts:
		a.add(requests*(m.Double-m.Same), Advice{
			Kind: "memory", Subject: "cache.memory", Advice: "double it", Evidence: evidence, Where: "at the top (needs a restart)", YAML: YAML(Setting{"cache.memory.size", mib(2 * m.Size)}),
			Caution: "at most 40 % of the process's memory limit",
		})
	case m.Same-m.Half < littleSaving && m.Size >= 32<<20:
		a.add(1, Advice{
			Kind: "memory", Subject: "cache.memory", Advice: "halve it: a smaller cache would hit almost as often", Evidence: evidence, Where: "at the top (needs a restart)", YAML: YAML(Setting{"cache.memory.size", mib(m.Size / 2)}),
		})
	}
}

// instances compares the process's use of processors and memory with their limits.
func (a *adviser) instances() {
	i := &a.Instance
	if a.Since < leastObserved || i.Processors == 0 {
		return
	}
	evidence := []string{fmt.Sprintf("%s of %d processors in %v", percent(i.Busy), i.Processors, a.Since.Round(time.Minute))}
	if i.Limit > 0 {
		evidence = append(evidence, fmt.Sprintf("%s of %s memory", bytes(float64(i.Memory)), bytes(float64(i.Limit))))
	}
	switch {
	case i.Busy > 0.7:
		a.add(math.MaxFloat64, Advice{Kind: "instances", Subject: "this instance", Advice: "add instances or processors: requests above the average load must wait", Evidence: evidence})
	case i.Limit > 0 && float64(i.Memory) > 0.9*float64(i.Limit):
		a.add(math.MaxFloat64, Advice{Kind: "instances", Subject: "this instance", Advice: "give it more memory, or a smaller cache.memory.size", Evidence: evidence})
	case i.Busy < 0.05 && i.Processors > 1:
		a.add(0, Advice{Kind: "instances", Subject: "this instance", Advice: "give it fewer processors, or run fewer instances", Evidence: evidence})
	}
}
