package build

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/paginate"
)

const (
	// prefetchesAtOnce is how many lists the whole gateway prefetches at the same time. Beyond
	// that, it leaves the page to the client's own read.
	prefetchesAtOnce = 8
	// prefetchTime bounds the fetch of pages that no client has requested yet.
	prefetchTime = 30 * time.Second
	// prefetchPause is how long the gateway does not prefetch again behind the same page, so that a
	// page with many hits does not cause a fetch for each.
	prefetchPause = time.Second
	// maxPauses bounds the number of pages with a pause.
	maxPauses = 4096
)

// prefetcher fetches pages before clients request them. close ends its goroutines.
type prefetcher struct {
	now    func() time.Time
	base   context.Context
	stop   context.CancelFunc
	room   chan struct{}
	mu     sync.Mutex
	closed bool
	pauses map[string]time.Time // by URL, the end of the pause
	calls  sync.WaitGroup
}

func newPrefetcher(now func() time.Time) *prefetcher {
	p := &prefetcher{now: now, room: make(chan struct{}, prefetchesAtOnce), pauses: make(map[string]time.Time)}
	p.base, p.stop = context.WithCancel(context.Background())
	return p
}

// after fetches n pages into the cache, as the client of req would. The first is at u. It fetches
// nothing if req has credentials, because the pages may be for that client alone.
func (p *prefetcher) after(c *cache.Cache, res *cache.Resource, pages *paginate.Pages, req *http.Request, u *url.URL, n int) {
	ev := *observe.FromContext(req.Context())
	if ev.Credential != "" {
		return
	}
	for name := range req.Header {
		if name == "Authorization" || name == "Cookie" || cachepolicy.IdentifiesUser(name) {
			return
		}
	}
	if !p.enter(req.Host + pageURL(req, u)) {
		return
	}
	ahead := *req
	ahead.Header = aheadHeader(req.Header)
	ahead.Body, ahead.ContentLength, ahead.TransferEncoding = http.NoBody, 0, nil
	go func() {
		defer p.leave()
		ctx, cancel := context.WithTimeout(observe.NewContext(p.base, &ev), prefetchTime)
		defer cancel()
		for range n {
			if u.Path != "" && u.EscapedPath() != req.URL.EscapedPath() || u.Host != "" && u.Host != req.Host {
				return // it belongs to another list
			}
			query, err := pages.Query(u.RawQuery)
			if err != nil {
				return
			}
			got, err := c.Fetch(ctx, res, edge.WithQuery(ahead.WithContext(ctx), query), res.MaxObject)
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

// pageURL returns the path and query of a page to which a link in the response to req leads.
func pageURL(req *http.Request, u *url.URL) string { return req.URL.ResolveReference(u).RequestURI() }

// aheadHeader returns the header of a prefetch: the client's fields without those that concern one
// page or one exchange.
func aheadHeader(h http.Header) http.Header {
	out := h.Clone()
	for _, name := range []string{
		"Cache-Control", "Content-Length", "Content-Type", "Expect", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Pragma", "Range", "Te", "Upgrade",
	} {
		delete(out, name)
	}
	return out
}

// enter reports whether the page at url may be prefetched. It returns false if there is no room, or
// if another request looked at the page a moment ago. After true, the caller must call leave.
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

// close cancels prefetches under way and waits for them.
func (p *prefetcher) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.stop()
	p.calls.Wait()
}
