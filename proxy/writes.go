package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/route"
	"github.com/penstock/penstock/proxy/write"
)

// needsQueue reports whether cfg accepts writes for later, or names a file that may hold writes
// accepted earlier.
func needsQueue(cfg *config.Config) bool {
	return cfg.Writes.Path != "" || slices.ContainsFunc(cfg.Routes, func(r *config.Route) bool { return r.Writes.Policy == config.WriteBehind })
}

// openQueue opens the queue of writes if cfg needs one and it is not open. It returns nil
// otherwise, and an error if the settings of an open queue have changed. Once open, the queue
// stays, because accepted writes must be applied.
func (l *live) openQueue(cfg *config.Config) (fresh *write.Queue, err error) {
	if l.queue != nil {
		if !reflect.DeepEqual(cfg.Writes, l.queueConfig) {
			return nil, errors.New("writes can't be changed while the gateway runs: restart it")
		}
		return nil, nil
	}
	if !needsQueue(cfg) || l.dry {
		return nil, nil
	}
	l.queueConfig = cfg.Writes
	return write.New(write.Config{
		Store: l.fleet.OpenWrites(cfg.Writes), Workers: cfg.Writes.Workers, Apply: l.applyWrite, Tried: l.tried, Now: time.Now, Random: l.random, Log: l.log,
	}), nil
}

// compileBehind returns the middleware that accepts the writes of a route, or nil if the upstream
// answers the route's writes.
func compileBehind(cfg *config.Config, r *config.Route, res *cache.Resource, s *Snapshot) func(http.Handler) http.Handler {
	if r.Writes.Policy != config.WriteBehind || s.writes == nil {
		return nil
	}
	q := r.Writes.Queue
	b := &write.Behind{
		Store: s.writes, Name: Name, Route: r.Name, MaxBody: cfg.Writes.MaxBody, WriteError: edge.WriteError, Now: time.Now,
		Policy: write.Policy{Retries: q.Retries, Backoff: q.Backoff, MaxBackoff: q.MaxBackoff, DeadLetter: q.DeadLetter, RetryOn: r.Writes.RetryOn},
	}
	if by := r.Writes.OrderBy; by != "" {
		b.Order = func(req *http.Request) string { return expand(by, observe.FromContext(req.Context()).Captured) }
	}
	if q.CacheBody {
		b.Seen = func(r *http.Request) string {
			return write.SeenName(r.Host, r.URL.EscapedPath(), res.Rules.KeyQuery(r.URL.RawQuery))
		}
		b.Queued = func(r *http.Request) { s.cache.Forget(r.Context(), res, r, observe.FromContext(r.Context()).Scheme) }
		res.Queue = &routeQueue{s.writes, res.Rules}
	}
	return func(next http.Handler) http.Handler { return linked(b.Handler(next)) }
}

// linked records the span of a write's acceptance in the write, so that the span of each attempt
// links to it.
func linked(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if own := observe.Traceparent(r.Context()); own != "" && r.Method != http.MethodGet && r.Method != http.MethodHead {
			r.Header["Traceparent"] = []string{own}
		}
		next.ServeHTTP(w, r)
	})
}

// errNoRoute is the failure of a write whose route the running configuration does not have. A later
// configuration may have it again, so the write is retried like any other.
var errNoRoute = errors.New("the running configuration has no such route")

// applyWrite sends an accepted write to the upstream of the running configuration.
func (g *Gateway) applyWrite(ctx context.Context, w *write.Write, _ bool) write.Outcome {
	s := g.snapshot.Load()
	ctx, ev := g.options.Tracer.StartRoot(ctx, "write.apply", w.Header.Get("Traceparent"))
	ev.Start, ev.Route, ev.Method, ev.Scheme, ev.Host, ev.Path, ev.Background = g.options.Now(), w.Route, w.Method, w.Scheme, w.Host, w.Path, false
	var p route.Params
	found := s.router.Find(w.Host, w.Path, w.Method, &p)
	rt := s.compiled(found.Route)
	ev.Captured = p.Captured(found.Path)
	if rt == nil || rt.Name != w.Route {
		return write.Outcome{Err: fmt.Errorf("route %s: %w", w.Route, errNoRoute)}
	}
	r, err := requestOf(w)
	if err != nil {
		return write.Outcome{Err: err, Hopeless: true}
	}
	status, header, err := s.cache.Apply(rt.resource, edge.AtPath(r, found.Path).WithContext(ctx))
	ev.Status = status
	ev.EndPart(err)
	if err != nil {
		return write.Outcome{Err: err}
	}
	return write.Outcome{Status: status, Location: header.Get("Location"), RetryAfter: retryAfter(header, g.options.Now())}
}

// requestOf returns the accepted request in its canonical form.
func requestOf(w *write.Write) (*http.Request, error) {
	path, err := url.PathUnescape(w.Path)
	if err != nil {
		return nil, fmt.Errorf("the path of the write: %w", err)
	}
	r := &http.Request{
		Method: w.Method, URL: &url.URL{Path: path, RawPath: w.Path, RawQuery: w.Query}, Host: w.Host, Header: w.Header.Clone(), Body: http.NoBody,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if len(w.Body) > 0 {
		r.Body, r.ContentLength = readCloser{bytes.NewReader(w.Body)}, int64(len(w.Body))
	}
	return r, nil
}

// readCloser is a reader that need not be closed.
type readCloser struct{ *bytes.Reader }

// Close does nothing.
func (readCloser) Close() error { return nil }

// retryAfter returns the time in Retry-After, which has seconds or a date (RFC 9110 §10.2.3). It
// returns 0 if there is no valid one.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// tried reports an attempt to apply a write to the Sink, if the Sink takes such reports.
func (g *Gateway) tried(r *write.Record, took time.Duration) {
	sink, ok := g.options.Sink.(observe.WriteSink)
	if !ok {
		return
	}
	sink.Tried(&observe.Write{
		ID: r.ID, Route: r.Route, Method: r.Method, State: string(r.Phase), Status: r.Status, Tries: r.Tries, Took: took,
		Waited: r.Updated.Sub(r.Accepted), Header: r.Header,
	})
}

// queueProblem returns the reason why no writes can be accepted now, or nil if they can. ok is
// false if there is no queue.
func (g *Gateway) queueProblem() (err error, ok bool) {
	s := g.snapshot.Load().writes
	if s == nil {
		return nil, false
	}
	if p, can := s.(interface{ Problem() error }); can {
		return p.Problem(), true
	}
	return nil, true
}

// QueuedWrites returns the figures of the queue of writes: the number of pending writes, the wait
// of the oldest, and the number of dead letters. ok is false if there is no queue or it can't be
// read.
func (g *Gateway) QueuedWrites(ctx context.Context) (pending int, oldest time.Duration, dead int, ok bool) {
	s := g.snapshot.Load().writes
	if s == nil {
		return 0, 0, 0, false
	}
	stats, err := s.Stats(ctx)
	return stats.Pending, stats.Oldest, stats.Dead, err == nil
}
