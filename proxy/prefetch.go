package proxy

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/paginate"
)

const (
	// prefetchesAtOnce is how many lists of the whole gateway are fetched ahead at the same time. More are not: the client's own read does it.
	prefetchesAtOnce = 8
	// prefetchTime is how long a page may take that nobody has asked for.
	prefetchTime = 30 * time.Second
	// prefetchPause is for how long what follows a page is not looked at again: a page that is hit often does not ask each time.
	prefetchPause = time.Second
	// maxPauses bounds how many pages are remembered for that.
	maxPauses = 4096
)

// prefetcher fetches pages before they are asked for. Its goroutines end by close.
type prefetcher struct {
	now    func() time.Time
	base   context.Context
	stop   context.CancelFunc
	room   chan struct{}
	mu     sync.Mutex
	closed bool
	pauses map[string]time.Time // by URL, until when
	calls  sync.WaitGroup
}

func newPrefetcher(now func() time.Time) *prefetcher {
	p := &prefetcher{now: now, room: make(chan struct{}, prefetchesAtOnce), pauses: make(map[string]time.Time)}
	p.base, p.stop = context.WithCancel(context.Background())
	return p
}

// after fetches n pages into the cache, of which the first is at u, as the client of req would. What is for one client alone is left to it.
func (p *prefetcher) after(c *cache.Cache, res *cache.Resource, pages *paginate.Pages, req *http.Request, u *url.URL, n int) {
	for _, name := range []string{"Authorization", "Cookie"} {
		if len(req.Header[name]) > 0 {
			return
		}
	}
	if !p.enter(req.Host + pageURL(req, u)) {
		return
	}
	ev := *observe.FromContext(req.Context())
	ahead := *req
	ahead.Header = aheadHeader(req.Header)
	ahead.Body, ahead.ContentLength, ahead.TransferEncoding = http.NoBody, 0, nil
	go func() {
		defer p.leave()
		ctx, cancel := context.WithTimeout(observe.NewContext(p.base, &ev), prefetchTime)
		defer cancel()
		for range n {
			if u.Path != "" && u.EscapedPath() != req.URL.EscapedPath() || u.Host != "" && u.Host != req.Host {
				return // it is another list's
			}
			query, err := pages.Query(u.RawQuery)
			if err != nil {
				return
			}
			got, err := c.Fetch(ctx, res, withQuery(ahead.WithContext(ctx), query), res.MaxObject)
			if err != nil || got.Status != http.StatusOK {
				return
			}
			next, ok := paginate.Next(got.Header)
			if !ok {
				return
			}
			u = next
		}
	}()
}

// pageURL is the path and query of a page that a link in the answer to req leads to.
func pageURL(req *http.Request, u *url.URL) string { return req.URL.ResolveReference(u).RequestURI() }

// aheadHeader is what a page is asked for with ahead of its client: what the client has sent, but for what concerns one page or one exchange.
func aheadHeader(h http.Header) http.Header {
	out := h.Clone()
	for _, name := range []string{
		"Cache-Control", "Content-Length", "Content-Type", "Expect", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Pragma", "Range", "Te", "Upgrade",
	} {
		delete(out, name)
	}
	return out
}

// enter reports whether there is room, and nobody has looked at what is there a moment ago. Whoever gets true calls leave.
func (p *prefetcher) enter(url string) bool {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || now.Before(p.pauses[url]) {
		return false
	}
	select {
	case p.room <- struct{}{}:
	default:
		return false
	}
	if len(p.pauses) >= maxPauses {
		clear(p.pauses)
	}
	p.pauses[url] = now.Add(prefetchPause)
	p.calls.Add(1)
	return true
}

func (p *prefetcher) leave() {
	<-p.room
	p.calls.Done()
}

// close ends what is under way.
func (p *prefetcher) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.stop()
	p.calls.Wait()
}
