package cache

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/penstock/penstock/proxy/observe"
)

const (
	// pageRetry is how long a fetched error page, or that it could not be fetched, holds at least: errors come in herds.
	pageRetry = time.Second
	// maxPageHosts is for how many hosts of a route the page is held.
	maxPageHosts = 64
)

// pageCopies holds what the path of an ErrorPage gave when it was last fetched, by the host that it was fetched for.
type pageCopies struct {
	calls singleflight.Group
	mu    sync.Mutex
	by    map[string]*pageCopy
}

// pageCopy is a fetched page, or why there is none. It is immutable.
type pageCopy struct {
	header  http.Header
	content []byte
	err     error
	until   time.Time
}

func (p *pageCopies) get(host string, now time.Time) *pageCopy {
	p.mu.Lock()
	defer p.mu.Unlock()
	if held := p.by[host]; held != nil && now.Before(held.until) {
		return held
	}
	return nil
}

func (p *pageCopies) put(host string, page *pageCopy) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by == nil || len(p.by) >= maxPageHosts {
		p.by = make(map[string]*pageCopy)
	}
	p.by[host] = page
}

// fetchPage is the page that Serve names, from the origin of x's route: one call for all that need it, which no client's leaving ends.
func (c *Cache) fetchPage(ctx context.Context, x *exchange, page *ErrorPage) (*pageCopy, error) {
	host, res := x.r.Host, x.res
	held := page.fetched.get(host, c.Now())
	if held == nil {
		call := page.fetched.calls.DoChan(host, func() (any, error) {
			if !c.enter() {
				return nil, errClosed
			}
			defer c.filling.Done()
			ev := x.pageEvent(c.Now())
			got := res.pageCopy(observe.NewContext(c.base, ev), page, host)
			ev.BytesFromOrigin = int64(len(got.content))
			c.filled(ev)
			got.until = c.Now().Add(max(page.CacheFor, pageRetry))
			page.fetched.put(host, got)
			return got, nil
		})
		select {
		case done := <-call:
			if done.Err != nil {
				return nil, done.Err
			}
			held = done.Val.(*pageCopy)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return held, held.err
}

// pageEvent is the Event of the call that fetches an error page for the route of x.
func (x *exchange) pageEvent(now time.Time) *observe.Event {
	return &observe.Event{Start: now, Route: x.res.Rules.Route, Method: http.MethodGet, Cache: observe.CachePass, Background: true}
}

// pageCopy fetches page for host.
func (res *Resource) pageCopy(ctx context.Context, page *ErrorPage, host string) *pageCopy {
	target, err := url.ParseRequestURI(page.Serve)
	if err != nil {
		return &pageCopy{err: err}
	}
	req := &http.Request{
		Method: http.MethodGet, URL: target, Host: host, Header: http.Header{"Accept-Encoding": {"identity"}}, Body: http.NoBody,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	resp, err := res.Origin.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return &pageCopy{err: err}
	}
	defer discard(resp)
	if resp.StatusCode != http.StatusOK {
		return &pageCopy{err: fmt.Errorf("the upstream answers %d", resp.StatusCode)}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, res.MaxObject+1))
	if err == nil && int64(len(body)) > res.MaxObject {
		err = fmt.Errorf("it is larger than %d bytes", res.MaxObject)
	}
	if res.Respond != nil {
		res.Respond(resp.Header)
	}
	return &pageCopy{header: resp.Header, content: body, err: err}
}
