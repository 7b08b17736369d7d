package cache

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/penstock/penstock/cachepolicy"
)

// ErrorPage takes the place of a route's responses with certain statuses. It may be used concurrently.
type ErrorPage struct {
	Status      []int
	Serve       string        // upstream path that is fetched instead; "": Body
	As          int           // status sent; 0: the original one
	CacheFor    time.Duration // how long it is stored in the place of the response; 0: not at all
	Body        string
	ContentType string // of Body; "": plain text

	fetched pageCopies
}

// page is the error page for a, or nil. What is kept stale, validated or asked for again needs none.
func (res *Resource) page(a *answer, effect cachepolicy.Effect) *ErrorPage {
	switch effect {
	case cachepolicy.KeepStale, cachepolicy.Freshen, cachepolicy.Combine, cachepolicy.Refetch:
		return nil
	}
	if len(res.Errors) == 0 {
		return nil
	}
	status := a.status()
	for _, p := range res.Errors {
		if slices.Contains(p.Status, status) {
			return p
		}
	}
	return nil
}

// substitute returns page as the answer in place of a, which it discards. Where the page itself can't be had, a stands.
func (c *Cache) substitute(ctx context.Context, x *exchange, page *ErrorPage, a *answer) *answer {
	instead := &http.Response{StatusCode: a.status(), Header: make(http.Header)}
	content := []byte(page.Body)
	if page.Serve != "" {
		copied, err := c.fetchPage(ctx, x, page)
		if err != nil {
			c.Log.Warn("an error page could not be fetched; the error itself is sent", "route", x.res.Rules.Route, "page", page.Serve, "error", err)
			return a
		}
		instead.Header, content = copied.header.Clone(), copied.content
	}
	a.discard()
	if page.As != 0 {
		instead.StatusCode = page.As
	}
	page.describe(instead.Header)
	instead.ContentLength, instead.Body = int64(len(content)), io.NopCloser(bytes.NewReader(content))
	facts := cachepolicy.Answer{Status: instead.StatusCode, Header: instead.Header, Sent: a.facts.Sent, Received: a.facts.Received}
	return &answer{facts: facts, resp: instead}
}

// describe makes h the header of an error page: its own life, and no validators, which would be those of another URL.
func (p *ErrorPage) describe(h http.Header) {
	for _, name := range [...]string{"Etag", "Last-Modified", "Expires", "Age", "Cdn-Cache-Control", "Content-Length", "Content-Location", "Pragma", "Set-Cookie", "Vary"} {
		delete(h, name)
	}
	h["Cache-Control"] = []string{"no-store"}
	if p.CacheFor > 0 {
		h["Cache-Control"] = []string{"public, max-age=" + strconv.FormatInt(int64(p.CacheFor/time.Second), 10)}
	}
	switch {
	case p.Serve != "":
	case p.ContentType != "":
		h["Content-Type"] = []string{p.ContentType}
	default:
		h["Content-Type"] = []string{"text/plain; charset=utf-8"}
	}
}
