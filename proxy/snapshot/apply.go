package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/route"
	"github.com/penstock/penstock/proxy/write"
)

// errNoRoute is the failure of a write whose route the running configuration does not have. A later
// configuration may have it again, so the write is retried like any other.
var errNoRoute = errors.New("the running configuration has no such route")

// ApplyWrite sends an accepted write to the upstream of its route.
func (s *Snapshot) ApplyWrite(ctx context.Context, w *write.Write) write.Outcome {
	ctx, ev := s.tracer.StartRoot(ctx, "write.apply", w.Header.Get("Traceparent"))
	ev.Start, ev.Route, ev.Method, ev.Scheme, ev.Host, ev.Path, ev.Background = s.cache.Now(), w.Route, w.Method, w.Scheme, w.Host, w.Path, false
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
	status, header, err := s.cache.Apply(rt.Resource, edge.AtPath(r, found.Path).WithContext(ctx))
	ev.Status = status
	ev.EndPart(err)
	if err != nil {
		return write.Outcome{Err: err}
	}
	return write.Outcome{Status: status, Location: header.Get("Location"), RetryAfter: retryAfter(header, s.cache.Now())}
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
