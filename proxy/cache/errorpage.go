package cache

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/penstock/penstock/cachepolicy"
)

// ErrorPage takes the place of a route's responses with certain statuses. It may be used concurrently.
type ErrorPage struct {
	Status      []int
	Serve       string // upstream path that is fetched instead; "": Body
	As          int    // status sent; 0: the original one
	CacheFor    time.Duration
	Body        string
	ContentType string

	mu      sync.Mutex // guards the page that Serve names, as last fetched
	page    *http.Response
	content []byte
	until   time.Time
}

// page is the error page for a, or nil. What is kept stale or validated needs none.
func (res *Resource) page(a *cachepolicy.Answer, effect cachepolicy.Effect) *ErrorPage {
	switch effect {
	case cachepolicy.KeepStale, cachepolicy.Freshen, cachepolicy.Combine, cachepolicy.Refetch:
		return nil
	}
	status := a.Status
	if a.Failure != cachepolicy.FailureNone {
		status = failureStatus(a.Failure)
	}
	for _, p := range res.Errors {
		if slices.Contains(p.Status, status) {
			return p
		}
	}
	return nil
}

func failureStatus(f cachepolicy.Failure) int {
	switch f {
	case cachepolicy.FailureTimeout:
		return http.StatusGatewayTimeout
	case cachepolicy.FailureOverload:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadGateway
}

// substitute returns page as the answer in place of resp or err. Where the page itself can't be had, the original stands.
func (c *Cache) substitute(ctx context.Context, j *job, page *ErrorPage, a *cachepolicy.Answer, resp *http.Response, err error) (cachepolicy.Answer, *http.Response, error) {
	status := a.Status
	if a.Failure != cachepolicy.FailureNone {
		status = failureStatus(a.Failure)
	}
	instead, perr := c.errorResponse(ctx, j, page, status)
	if perr != nil {
		c.log.Warn("an error page could not be fetched; the error itself is sent", "route", j.x.res.Rules.Route, "page", page.Serve, "err", perr)
		return *a, resp, err
	}
	discard(resp)
	return cachepolicy.Answer{Status: instead.StatusCode, Header: instead.Header, Sent: a.Sent, Received: a.Received}, instead, nil
}

// errorResponse builds the response of page in the place of status.
func (c *Cache) errorResponse(ctx context.Context, j *job, page *ErrorPage, status int) (*http.Response, error) {
	header, content := make(http.Header), []byte(page.Body)
	if page.ContentType != "" {
		header.Set("Content-Type", page.ContentType)
	}
	if page.Serve != "" {
		fetched, body, err := c.errorContent(ctx, j, page)
		if err != nil {
			return nil, err
		}
		header, content = fetched.Header.Clone(), body
	}
	if page.As != 0 {
		status = page.As
	}
	header.Set("Cache-Control", "no-store")
	if page.CacheFor > 0 {
		header.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(page.CacheFor.Seconds())))
	}
	for _, name := range [...]string{"Etag", "Last-Modified", "Expires", "Age", "Cdn-Cache-Control"} {
		delete(header, name)
	}
	return &http.Response{
		StatusCode: status, Header: header, ContentLength: int64(len(content)), Body: io.NopCloser(bytes.NewReader(content)),
	}, nil
}

// errorContent is the page that Serve names, fetched at most once in CacheFor.
func (c *Cache) errorContent(ctx context.Context, j *job, page *ErrorPage) (*http.Response, []byte, error) {
	page.mu.Lock()
	defer page.mu.Unlock()
	if page.page != nil && c.now().Before(page.until) {
		return page.page, page.content, nil
	}
	target, err := url.ParseRequestURI(page.Serve)
	if err != nil {
		return nil, nil, fmt.Errorf("error page %s: %w", page.Serve, err)
	}
	req := (&http.Request{Method: http.MethodGet, URL: target, Host: j.x.r.Host, Header: make(http.Header), Body: http.NoBody}).WithContext(ctx)
	resp, err := j.x.res.Origin.RoundTrip(req)
	if err != nil {
		return nil, nil, fmt.Errorf("fetching error page %s: %w", page.Serve, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("fetching error page %s: the upstream answers %d", page.Serve, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, j.x.res.MaxObject+1))
	if err == nil && int64(len(body)) > j.x.res.MaxObject {
		err = fmt.Errorf("it is larger than %d bytes", j.x.res.MaxObject)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading error page %s: %w", page.Serve, err)
	}
	if j.x.res.Respond != nil {
		j.x.res.Respond(resp.Header)
	}
	page.page, page.content, page.until = resp, body, c.now().Add(page.CacheFor)
	return resp, body, nil
}
