package cache

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/observe"
)

// maxPrefetchFills is how many fills may be under way for anything still to be fetched that nobody has asked for.
const maxPrefetchFills = 64

// Prefetch fetches into the cache what is likely to be asked for next. It never makes anybody wait: where there is no room it is not done.
type Prefetch struct {
	// Next is the URL that follows on u by the header of its response, as the client would ask for it; nil: none.
	Next  func(u *url.URL, h http.Header) *url.URL
	Pages int           // how many follow on one another
	Slots chan struct{} // holds one for each that is under way
}

// prefetch fetches what follows on x's response, if others may have that too.
func (c *Cache) prefetch(x *exchange, reply *Reply) {
	p := x.res.Prefetch
	if p == nil || x.q.Method != http.MethodGet || c.flights.Len() > maxPrefetchFills || c.prefetchShuns(x) {
		return
	}
	h := shared(reply)
	if h == nil {
		return
	}
	next := p.Next(x.r.URL, h)
	if next == nil {
		return
	}
	select {
	case p.Slots <- struct{}{}:
	default:
		return
	}
	from := x.r.Clone(context.WithoutCancel(x.ctx)) // the client's own may change once it is answered
	if !c.background(func(ctx context.Context) {
		defer func() { <-p.Slots }()
		c.fetchPages(ctx, x.res, from, x.q.Scheme, next)
	}) {
		<-p.Slots
	}
}

// prefetchShuns tells requests that say themselves what is to be fetched, and those that come with credentials: what follows is for one client then.
func (c *Cache) prefetchShuns(x *exchange) bool {
	return len(x.r.Header["Authorization"]) > 0 || len(x.r.Header["Range"]) > 0 || x.directs()
}

// shared is the header of a reply that others may have as well, or nil.
func shared(reply *Reply) http.Header {
	switch {
	case reply.Entry != nil && reply.Entry.Status == http.StatusOK:
		return reply.Entry.Representations[0].Header()
	case reply.landing != nil && reply.landing.entry == nil && reply.landing.facts.Status == http.StatusOK && reply.outcome.Stored:
		return reply.landing.header
	}
	return nil
}

// fetchPages asks for u, and for what follows, until all that were wanted are stored.
func (c *Cache) fetchPages(ctx context.Context, res *Resource, from *http.Request, scheme string, u *url.URL) {
	captured := observe.FromContext(from.Context()).Captured
	for range res.Prefetch.Pages {
		r := from.WithContext(observe.NewContext(ctx, &observe.Event{Captured: captured}))
		r.Header, r.URL, r.Body, r.ContentLength = from.Header.Clone(), withScheme(u, scheme), http.NoBody, 0
		for _, name := range conditionals {
			delete(r.Header, name)
		}
		resp, err := c.Transport(res, c.Name, "").RoundTrip(r)
		if err != nil {
			return
		}
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close() // read to its end, or useless
		if err != nil || resp.StatusCode != http.StatusOK || cachepolicy.IsPrivate(resp.Header) {
			return
		}
		if u = res.Prefetch.Next(u, resp.Header); u == nil {
			return
		}
	}
}

func withScheme(u *url.URL, scheme string) *url.URL {
	with := *u
	with.Scheme = scheme
	return &with
}
