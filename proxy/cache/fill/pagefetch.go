package fill

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/penstock/penstock/proxy/observe"
)

const (
	// pageRetry is how long the gateway does not fetch an error page again after a failure. Errors
	// come in large numbers, and each would cause a fetch.
	pageRetry = time.Second
	// maxPageHosts bounds the number of hosts of a route whose failures are remembered.
	maxPageHosts = 64
)

// pageFailures remembers, by host, that a page could not be fetched a moment ago. It holds no
// content: a fetched page is in the store. It may be used concurrently.
type pageFailures struct {
	mu sync.Mutex
	by map[string]pageFailure
}

type pageFailure struct {
	err   error
	until time.Time
}

// get returns the error of the last fetch for host, or nil if the page may be fetched now.
func (p *pageFailures) get(host string, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f, ok := p.by[host]; ok && now.Before(f.until) {
		return f.err
	}
	return nil
}

// put makes get return err for host until the given time. If maxPageHosts hosts are remembered
// already, it forgets all of them first.
func (p *pageFailures) put(host string, err error, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by == nil || len(p.by) >= maxPageHosts {
		p.by = make(map[string]pageFailure)
	}
	p.by[host] = pageFailure{err, until}
}

// PageHeader is a request field in the key of error pages, and no client's request has it. So the
// page and the response of its URL are two objects: the route sets the lifetime of the page, and
// the origin sets the lifetime of the response.
const PageHeader = "Penstock-Error-Page"

// selectingPage lists the client's fields that the origin may use to choose among the forms of a
// page. These fields do not identify the client.
var selectingPage = [...]string{"Accept", "Accept-Language"}

// fetchPage returns the page at Serve, from the store or from the origin of x's route. All clients
// that need the page share one call. It returns an error if the origin fails or answers with a
// status other than 200, and without a call if the last fetch failed within pageRetry.
func (fl *Filler) fetchPage(ctx context.Context, x *Request, page *ErrorPage) (*PageContent, error) {
	host := x.HTTP.Host
	if err := page.failures.get(host, fl.Now()); err != nil {
		return nil, err
	}
	u := *page.URL
	req := &http.Request{
		Method: http.MethodGet, URL: &u, Host: host, Header: http.Header{"Accept-Encoding": {"identity"}}, Body: http.NoBody,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	CopyFields(req.Header, x.HTTP.Header, selectingPage[:]...)
	ctx, ev := observe.StartPart(ctx, "cache.errorpage")
	ev.Scheme, ev.Host = x.View.Scheme, x.View.Host
	got, err := page.Fetch(ctx, req)
	ev.EndPart(err)
	if err == nil && got.Status != http.StatusOK {
		err = fmt.Errorf("the upstream answers %d", got.Status)
	}
	if err != nil {
		if ctx.Err() == nil {
			page.failures.put(host, err, fl.Now().Add(pageRetry))
		}
		return nil, err
	}
	return got, nil
}
