package cache

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/store"
)

// ErrorPage replaces a route's responses with certain statuses. It may be used concurrently.
type ErrorPage struct {
	Status       []int
	Serve        string        // upstream path of the page; "": Body is the page
	As           int           // status sent to the client; 0: the original status
	CacheFor     time.Duration // how long the gateway stores the page, at Page and in place of the response; 0: not in place of the response
	CacheControl string        // sent instead of the page's own Cache-Control; "": that of the page
	Body         string
	ContentType  string // of Body; "": plain text

	// Page is the resource under which the page at Serve is stored as an ordinary response, so
	// purges find it.
	Page *Resource
	URL  *url.URL // path and query under which Page stores the page

	failures pageFailures
}

// page returns the error page for a, or nil if no page applies. It is also nil if the effect keeps
// a stale response, updates or completes a stored response, or asks the origin again.
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

// substitute returns page as the answer in place of a, and discards a. If the page cannot be
// fetched, it logs a warning and returns nil.
//
// The client gets the page with the page's own fields. The gateway's store uses the facts of the
// returned answer instead: they carry the lifetime from CacheFor, counted from the time at which a
// was received.
func (c *Cache) substitute(ctx context.Context, x *request, page *ErrorPage, a *answer) *answer {
	instead := &http.Response{StatusCode: a.status(), Header: make(http.Header)}
	content := []byte(page.Body)
	var tags []string
	if page.Serve != "" {
		got, err := c.fetchPage(ctx, x, page)
		if err != nil {
			c.Log.Warn("an error page could not be fetched; the error itself is sent", "route", x.res.Rules.Route, "page", page.Serve, "error", err)
			return nil
		}
		instead.Header, content = got.Header.Clone(), got.Body
		tags = append(entry.WithoutRules(got.Tags), store.PageTag(x.r.Host, page.URL.EscapedPath(), page.URL.RawQuery))
	}
	a.discard()
	if page.As != 0 {
		instead.StatusCode = page.As
	}
	facts := cachepolicy.Answer{Status: instead.StatusCode, Header: page.policy(instead.Header), Sent: a.facts.Sent, Received: a.facts.Received}
	page.describe(instead.Header)
	instead.ContentLength, instead.Body = int64(len(content)), io.NopCloser(bytes.NewReader(content))
	return &answer{facts: facts, resp: instead, tags: tags}
}

// policy returns the fields that decide how the gateway stores the page. h holds the page's own
// fields.
func (p *ErrorPage) policy(h http.Header) http.Header {
	own := make(http.Header, len(h))
	for name, values := range h {
		if !strings.HasSuffix(name, "Cache-Control") {
			own[name] = values
		}
	}
	for _, name := range [...]string{"Expires", "Pragma", "Set-Cookie", "Content-Length"} {
		delete(own, name)
	}
	own["Cache-Control"] = []string{"no-store"}
	if p.CacheFor > 0 {
		own["Cache-Control"] = []string{"public, max-age=" + strconv.FormatInt(int64(p.CacheFor/time.Second), 10)}
	}
	return own
}

// describe changes h, the fields of the page, into the fields that the client gets. It removes the
// fields that the gateway's own store has added on the way, and cookies, because the origin set
// them for the gateway.
func (p *ErrorPage) describe(h http.Header) {
	for _, name := range [...]string{"Content-Length", "Set-Cookie", "Cache-Status"} {
		delete(h, name)
	}
	if p.Serve == "" {
		h["Cache-Control"] = []string{"no-store"} // the configuration names no lifetime for a body
		h["Content-Type"] = []string{cmp.Or(p.ContentType, "text/plain; charset=utf-8")}
	}
	if p.CacheControl != "" {
		delete(h, "Expires")
		delete(h, "Pragma")
		h["Cache-Control"] = []string{p.CacheControl}
	}
}
