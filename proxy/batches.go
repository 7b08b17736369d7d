package proxy

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/aggregate"
	"github.com/penstock/penstock/proxy/batch"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/rawjson"
)

// batchRoute is a route with a batch, for the parts that are read through it.
type batchRoute struct {
	config   *config.Route
	loader   *batch.Loader
	resource *cache.Resource
}

// compileBatch is the origin of a route whose objects the upstream gives many at a time.
func compileBatch(r *config.Route, next *generation, s *Snapshot) (http.RoundTripper, error) {
	b := r.Batch
	made := batch.Config{
		Origin: &countedOrigin{&plainOrigin{next.pools[b.Upstream], b.MaxBody}, r.Name, s.tracer, s.cache.Filled, s.cache.Now}, Member: observe.Traceparent,
		Path: b.Path, ID: r.BatchID(), Capture: capturedText, Window: b.Window, Max: b.Max, Missing: b.Missing, MaxBody: b.MaxBody,
		IgnoreCookies: r.Cache.SetCookie != config.SetCookiePass, Now: s.cache.Now, Observe: s.live.counted.batch(r.Name),
	}
	if r.Cache.Tags.Header != "" {
		made.Fields = []string{http.CanonicalHeaderKey(r.Cache.Tags.Header)}
	}
	var err error
	if made.Items, err = rawjson.ParsePath(b.Items); err != nil {
		return nil, fmt.Errorf("batch.items: %w", err)
	}
	if made.Key, err = rawjson.ParsePath(b.Key); err != nil {
		return nil, fmt.Errorf("batch.key: %w", err)
	}
	loader, err := batch.New(made)
	if err != nil {
		return nil, fmt.Errorf("batch: %w", err)
	}
	next.batches[r.Name] = &batchRoute{config: r, loader: loader}
	return &notedOrigin{loader, b.Upstream}, nil
}

// batchUpstream is the upstream of the route with that batch.
func batchUpstream(cfg *config.Config, name string) string {
	for _, r := range cfg.Routes {
		if r.Name == name && r.Batch != nil {
			return r.Batch.Upstream
		}
	}
	return ""
}

// batchedPart has a part's calls made as reads of a route with a batch, whose objects they share.
func batchedPart(made *aggregate.Part, p *config.Part, tagField string, next *generation, s *Snapshot) error {
	b := next.batches[p.Batch]
	if b == nil {
		return fmt.Errorf("there is no route %s with a batch", p.Batch)
	}
	f := &batchFetcher{
		cache: s.cache, route: b, limit: p.MaxBody, id: b.config.BatchID(), upstream: b.config.Batch.Upstream, single: p.Path, tagField: tagField,
	}
	before, rest, _ := strings.Cut(b.config.Match.Path, "{")
	expr, after := rest, ""
	for depth, i := 1, 0; i < len(rest); i++ {
		switch rest[i] {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth == 0 {
			expr, after = rest[:i], rest[i+1:]
			break
		}
	}
	f.before, f.after = before, after
	if _, pattern, ok := strings.Cut(expr, ":"); ok {
		compiled, err := regexp.Compile("^(?:" + pattern + ")$")
		if err != nil {
			return fmt.Errorf("the pattern of route %s: %w", p.Batch, err)
		}
		f.pattern = compiled
	}
	var err error
	if made.URL, err = aggregate.ParseTemplate(before + "{}" + after); err != nil {
		return fmt.Errorf("the path of route %s: %w", p.Batch, err)
	}
	// All of a call's ids have to be under way at the same time for it to be one.
	made.Fetcher, made.AtOnce = f, max(partsAtOnce, min(p.Limit, b.config.Batch.Max))
	return nil
}

// batchFetcher reads the values of a foreach through a route with a batch, each as a client would.
type batchFetcher struct {
	cache         *cache.Cache
	route         *batchRoute
	id            string // the capture
	before, after string // of it in the route's path
	pattern       *regexp.Regexp
	limit         int64
	upstream      string
	single        string // where the upstream has a single one; "": not said
	tagField      string
}

// Gather has the first of several reads wait for the others.
func (f *batchFetcher) Gather(n int) (done func()) { return f.route.loader.Gather(n) }

// Fetch reads one.
func (f *batchFetcher) Fetch(ctx context.Context, req *http.Request) (*aggregate.Answer, error) {
	path, err := edge.CanonicalPath(req.URL.EscapedPath())
	if err != nil {
		return nil, err
	}
	id := strings.TrimSuffix(strings.TrimPrefix(path, f.before), f.after)
	if f.pattern != nil && !f.pattern.MatchString(id) {
		return &aggregate.Answer{Status: http.StatusNotFound, Header: http.Header{}}, nil // as for a client, to whom the route is not there
	}
	u, err := withEscapedPath(&url.URL{}, path)
	if err != nil {
		return nil, err
	}
	ev := *observe.FromContext(ctx)
	ev.Captured = map[string]string{f.id: id}
	read := *req
	read.URL = u
	read.Header = req.Header.Clone()
	read.Header["X-Forwarded-Host"], read.Header["X-Forwarded-Proto"] = []string{ev.Host}, []string{ev.Scheme} // what a client's read has
	got, err := f.cache.Fetch(observe.NewContext(ctx, &ev), f.route.resource, &read, f.limit)
	if err != nil {
		return nil, err
	}
	if f.tagField != "" && f.single != "" {
		if u, err := withEscapedPath(&url.URL{}, strings.Replace(strings.SplitN(f.single, "?", 2)[0], "{}", id, 1)); err == nil {
			got.Header.Add(f.tagField, upstreamTag(f.upstream, u))
		}
	}
	return partAnswer(got), nil
}
