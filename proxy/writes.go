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

	"github.com/go-chi/chi/v5"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store/shared"
	"github.com/penstock/penstock/proxy/write"
	"github.com/penstock/penstock/proxy/write/file"
)

// needsQueue reports whether cfg has writes to accept, or a file in which some that were accepted may be left.
func needsQueue(cfg *config.Config) bool {
	return cfg.Writes.Path != "" || slices.ContainsFunc(cfg.Routes, func(r *config.Route) bool { return r.Writes.Policy == config.WriteBehind })
}

// openQueue opens the queue of writes where cfg needs one and there is none. Once open it stays: what was accepted is to be applied.
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
	s, err := l.openStore(cfg)
	if err != nil {
		return nil, err
	}
	l.queueConfig = cfg.Writes
	return write.New(write.Config{
		Store: s, Workers: cfg.Writes.Workers, Apply: l.applyWrite, Tried: l.tried, Now: time.Now, Random: l.random, Log: l.log,
	}), nil
}

func (l *live) openStore(cfg *config.Config) (write.Store, error) {
	w := cfg.Writes
	bounds := write.Bounds{Max: w.Max, Bytes: w.Size, Keep: w.Keep, Dead: w.Dead.Max, DeadAge: w.Dead.Age}
	if w.Path != "" {
		s, err := file.Open(w.Path, bounds, time.Now)
		if err != nil {
			return nil, fmt.Errorf("writes.path: %w", err)
		}
		return s, nil
	}
	return shared.NewWrites(l.fleet.Client, bounds), nil
}

// compileBehind is the middleware that accepts the writes of a route; nil where it has them answered by the upstream.
func compileBehind(cfg *config.Config, r *config.Route, res *cache.Resource, s *Snapshot) func(http.Handler) http.Handler {
	if r.Writes.Policy != config.WriteBehind || s.writes == nil {
		return nil
	}
	q := r.Writes.Queue
	b := &write.Behind{
		Store: s.writes, Name: Name, Route: r.Name, MaxBody: cfg.Writes.MaxBody, WriteError: edge.WriteError, Now: time.Now,
		Policy: write.Policy{Retries: q.Retries, Backoff: q.Backoff, MaxBackoff: q.MaxBackoff, DeadLetter: q.DeadLetter},
	}
	if q.CacheBody {
		seen := func(host, path, query string) string { return host + path + "?" + res.Rules.KeyQuery(query) }
		b.Seen = func(r *http.Request) string { return seen(r.Host, r.URL.EscapedPath(), r.URL.RawQuery) }
		b.Queued = func(r *http.Request) { s.cache.Forget(r.Context(), res, r, observe.FromContext(r.Context()).Scheme) }
		res.Queued = func(r *http.Request, q *cachepolicy.Request) cache.Queued {
			return queuedFor(r, s.writes, seen(q.Host, q.Path, q.RawQuery))
		}
	}
	return func(next http.Handler) http.Handler { return linked(b.Handler(next)) }
}

// linked has a write keep the name of the span of what it was accepted by, to which that of each try is linked.
func linked(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if own := observe.Traceparent(r.Context()); own != "" && r.Method != http.MethodGet && r.Method != http.MethodHead {
			r.Header["Traceparent"] = []string{own}
		}
		next.ServeHTTP(w, r)
	})
}

// queuedFor is what r may know of the newest write that is seen under a name. What came with credentials is shown to those alone who have the same: who
// else may read it only the origin knows.
func queuedFor(r *http.Request, s write.Store, seen string) cache.Queued {
	w, err := s.Newest(r.Context(), seen)
	switch {
	case err != nil: // a queue that can't be asked keeps nobody from reading
		return cache.Queued{}
	case !w.Who.IsZero() && w.Who != write.Credentials(r.Header):
		return cache.Queued{Pending: true}
	}
	return cache.Queued{Pending: true, Method: w.Method, Header: w.Header, Body: w.Body, At: w.Accepted}
}

// errNoRoute is why a write is not sent whose route the running configuration does not have. Another may have it again: it is tried like any other.
var errNoRoute = errors.New("the running configuration has no such route")

// applyWrite sends an accepted write where the running configuration sends it.
func (g *Gateway) applyWrite(ctx context.Context, w *write.Write, _ bool) write.Outcome {
	s := g.snapshot.Load()
	ctx, ev := g.options.Tracer.StartRoot(ctx, "write.apply", w.Header.Get("Traceparent"))
	ev.Start, ev.Route, ev.Method, ev.Scheme, ev.Host, ev.Background = g.options.Now(), w.Route, w.Method, w.Scheme, w.Host, false
	rt, _ := s.router.find(w.Host, w.Path, w.Method, func(c *chi.Context) { ev.Captured = captured(c) })
	if rt == nil || rt.name != w.Route {
		return write.Outcome{Err: fmt.Errorf("route %s: %w", w.Route, errNoRoute)}
	}
	r, err := requestOf(w)
	if err != nil {
		return write.Outcome{Err: err, Hopeless: true}
	}
	status, header, err := s.cache.Apply(rt.resource, r.WithContext(ctx))
	ev.Status = status
	ev.EndPart(err)
	if err != nil {
		return write.Outcome{Err: err}
	}
	return write.Outcome{Status: status, Location: header.Get("Location"), RetryAfter: retryAfter(header, g.options.Now())}
}

// requestOf is the request that was accepted, in canonical form as it was.
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

// retryAfter reads the field, seconds or a date (RFC 9110 §10.2.3); 0 where there is none that is valid.
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

// tried tells whoever wants to know of a try.
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

// QueuedWrites are the figures of the queue of writes: how many wait, how long the oldest has, how many are dead. ok is false where there is no queue.
func (g *Gateway) QueuedWrites(ctx context.Context) (pending int, oldest time.Duration, dead int, ok bool) {
	s := g.snapshot.Load().writes
	if s == nil {
		return 0, 0, 0, false
	}
	stats, err := s.Stats(ctx)
	return stats.Pending, stats.Oldest, stats.Dead, err == nil
}
