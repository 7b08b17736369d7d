package fill

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

	// Fetch returns the page at Serve, from the store or from the origin. The page is stored as an
	// ordinary response, so purges find it.
	Fetch func(context.Context, *http.Request) (*PageContent, error)
	URL   *url.URL // path and query under which the page is stored

	failures pageFailures
}

// PageContent is an error page as a client gets it.
type PageContent struct {
	Status int
	Header http.Header // it must not be changed
	Body   []byte
	Tags   []string
}

// Page returns the error page for a, or nil if no page applies. It is also nil if the effect keeps
// a stale response, updates or completes a stored response, or asks the origin again.
func (r *Route) Page(a *Answer, effect cachepolicy.Effect) *ErrorPage {
	switch effect {
	case cachepolicy.KeepStale, cachepolicy.Freshen, cachepolicy.Combine, cachepolicy.Refetch:
		return nil
	}
	if len(r.Errors) == 0 {
		return nil
	}
	status := a.Status()
	for _, p := range r.Errors {
		if slices.Contains(p.Status, status) {
			return p
		}
	}
	return nil
}

// Substitute returns page as the answer in place of a, and discards a. If the page cannot be
// fetched, it logs a warning and returns nil.
//
// The client gets the page with the page's own fields. The gateway's store uses the facts of the
// returned answer instead: they carry the lifetime from CacheFor, counted from the time at which a
// was received.
func (fl *Filler) Substitute(ctx context.Context, x *Request, page *ErrorPage, a *Answer) *Answer {
	instead := &http.Response{StatusCode: a.Status(), Header: make(http.Header)}
	content := []byte(page.Body)
	var tags []string
	if page.Serve != "" {
		got, err := fl.fetchPage(ctx, x, page)
		if err != nil {
			fl.Log.Warn("an error page could not be fetched; the error itself is sent", "route", x.Route.Rules.Route, "page", page.Serve, "error", err)
			return nil
		}
		instead.Header, content = got.Header.Clone(), got.Body
		tags = append(entry.WithoutRules(got.Tags), store.PageTag(x.HTTP.Host, page.URL.EscapedPath(), page.URL.RawQuery))
	}
	a.Discard()
	if page.As != 0 {
		instead.StatusCode = page.As
	}
	facts := cachepolicy.Answer{Status: instead.StatusCode, Header: page.policy(instead.Header), Sent: a.Facts.Sent, Received: a.Facts.Received}
	page.describe(instead.Header)
	instead.ContentLength, instead.Body = int64(len(content)), io.NopCloser(bytes.NewReader(content))
	return &Answer{Facts: facts, Response: instead, Tags: tags}
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

// Supposed is substitute without the fetch: it assumes that the page is available.
func (p *ErrorPage) Supposed(a *Answer) *Answer {
	instead := &http.Response{StatusCode: a.Status(), Header: make(http.Header), ContentLength: int64(len(p.Body)), Body: http.NoBody}
	if p.As != 0 {
		instead.StatusCode = p.As
	}
	facts := cachepolicy.Answer{Status: instead.StatusCode, Header: p.policy(instead.Header), Sent: a.Facts.Sent, Received: a.Facts.Received}
	p.describe(instead.Header)
	return &Answer{Facts: facts, Response: instead}
}
