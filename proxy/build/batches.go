package build

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/aggregate"
	"github.com/penstock/penstock/proxy/batch"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/rawjson"
	"github.com/penstock/penstock/proxy/route"
	"github.com/penstock/penstock/proxy/store"
)

// batchRoute is a route with a batch, through which parts of aggregates are read.
type batchRoute struct {
	config   *config.Route
	loader   *batch.Loader
	resource *cache.Resource
}

// batch returns the origin of a route whose upstream returns many objects in one call.
func (b *builder) batch(r *config.Route) (http.RoundTripper, error) {
	c := r.Batch
	made := batch.Config{
		Origin: &countedOrigin{&plainOrigin{b.bound(r, c.Upstream), c.MaxBody}, r.Name, b.tracer, b.cache.Filled, b.cache.Now}, Member: observe.Traceparent,
		Path: c.Path, ID: r.BatchID(), Capture: capturedText, Window: c.Window, Max: c.Max, Missing: c.Missing, MaxBody: c.MaxBody,
		IgnoreCookies: r.Cache.SetCookie != config.SetCookiePass, Now: b.cache.Now, Observe: b.counts.batch(r.Name),
	}
	refused := &refusals{log: b.log, now: time.Now}
	made.Refused = func(err error) { refused.note("an answer to a batch can't be used", "route", r.Name, "reason", err) }
	if field := tagField(r); field != "" {
		made.Fields = []string{field}
	}
	var err error
	if made.Items, err = rawjson.ParsePath(c.Items); err != nil {
		return nil, fmt.Errorf("batch.items: %w", err)
	}
	if made.Key, err = rawjson.ParsePath(c.Key); err != nil {
		return nil, fmt.Errorf("batch.key: %w", err)
	}
	loader, err := batch.New(made)
	if err != nil {
		return nil, fmt.Errorf("batch: %w", err)
	}
	b.batches[r.Name] = &batchRoute{config: r, loader: loader}
	return &notedOrigin{loader, c.Upstream}, nil
}

// batchUpstream returns the upstream of the route with the given name, or "" if that route has no
// batch.
func batchUpstream(cfg *config.Config, name string) string {
	for _, r := range cfg.Routes {
		if r.Name == name && r.Batch != nil {
			return r.Batch.Upstream
		}
	}
	return ""
}

// batchedPart makes the part read its values through a route with a batch, so that the part and the
// route share the objects.
func (b *builder) batchedPart(made *aggregate.Part, p *config.Part, tagField string) error {
	through := b.batches[p.Batch]
	if through == nil {
		return fmt.Errorf("there is no route %s with a batch", p.Batch)
	}
	f := &batchFetcher{
		cache: b.cache, route: through, limit: p.MaxBody, id: through.config.BatchID(), upstream: through.config.Batch.Upstream, single: p.Path, tagField: tagField,
	}
	before, expr, after, _ := route.CutParam(through.config.Match.Path)
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
	// All ids of a call must be under way at the same time, so that one call can carry them.
	made.Fetcher, made.AtOnce = f, max(partsAtOnce, min(p.Limit, through.config.Batch.Max))
	return nil
}

// batchFetcher reads each value of a foreach through a route with a batch, as a client would.
type batchFetcher struct {
	cache         *cache.Cache
	route         *batchRoute
	id            string // the name of the captured parameter
	before, after string // the text around the parameter in the route's path
	pattern       *regexp.Regexp
	limit         int64
	upstream      string
	single        string // the upstream's path of a single object; "" if the configuration does not give one
	tagField      string
}

// Gather makes the first of n reads wait for the others.
func (f *batchFetcher) Gather(n int) (done func()) { return f.route.loader.Gather(n) }

// Fetch reads one object.
func (f *batchFetcher) Fetch(ctx context.Context, req *http.Request) (*aggregate.Answer, error) {
	path, err := edge.CanonicalPath(req.URL.EscapedPath())
	if err != nil {
		return nil, err
	}
	id := strings.TrimSuffix(strings.TrimPrefix(path, f.before), f.after)
	if f.pattern != nil && !f.pattern.MatchString(id) {
		return &aggregate.Answer{Status: http.StatusNotFound, Header: http.Header{}}, nil // a client would get 404 too, because the route does not match
	}
	u, err := withEscapedPath(&url.URL{}, path)
	if err != nil {
		return nil, err
	}
	ev := *observe.FromContext(ctx)
	ev.Captured, ev.Path = map[string]string{f.id: id}, path
	read := *req
	read.URL = u
	read.Header = req.Header.Clone()
	read.Header["X-Forwarded-Host"], read.Header["X-Forwarded-Proto"] = []string{ev.Host}, []string{ev.Scheme} // the fields of a client's read
	got, err := f.cache.Fetch(observe.NewContext(ctx, &ev), f.route.resource, &read, f.limit)
	if err != nil {
		return nil, err
	}
	tags := entry.Shown(got.Tags)
	if slices.Contains(got.Tags, store.MoreTags) { // the aggregate then has more tags than these, too
		tags = append(tags, store.MoreTags)
	}
	if f.tagField != "" && len(tags) > 0 { // the route of the batch may not send them
		got.Header.Set(f.tagField, strings.Join(tags, " "))
	}
	if f.tagField != "" && f.single != "" {
		if u, err := withEscapedPath(&url.URL{}, strings.Replace(strings.SplitN(f.single, "?", 2)[0], "{}", id, 1)); err == nil {
			got.Header.Add(f.tagField, upstreamTag(f.upstream, u))
		}
	}
	return partAnswer(got), nil
}
