// Package batch turns single reads that are about at the same time into one call, as an origin: an http.RoundTripper. Each read gets its own element of the answer,
// with what the answer says of caching, as if it had been fetched alone.
//
// # When a batch sets out
//
// The loader knows how many requests are about: those that have come to the route, or that an aggregate has announced ([Loader.Enter]), and have no answer
// yet ([Loader.Leave]). A read that reaches the loader waits only while others are about than those that wait here with it. So a request alone waits for
// nobody, and the reads of an aggregate set out the moment the last of them is there; while a call is on its way, or requests are between route and loader,
// reads gather for the time of the window at most. A batch also sets out when it has as many reads, or as long a URL, as it may.
//
// Reads whose forwarded fields differ are never in one call. Nobody's leaving ends a call that others wait for.
//
// The package knows no routes, no configuration and no upstreams.
package batch

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/proxy/rawjson"
	"github.com/penstock/penstock/proxy/urltemplate"
)

// IDs is what stands in a template for the identifiers.
const IDs = "ids"

// Config is what a Loader is made of.
type Config struct {
	Origin   http.RoundTripper     // makes the calls
	Target   *urltemplate.Template // of their URL, with {ids}
	Captured []string              // what a request's path holds, segment by segment
	ID       int                   // which of them is the identifier
	Window   time.Duration
	Max      int           // reads in a call
	URLBytes int           // of a call's URL
	Fields   []string      // request fields that are forwarded, in canonical form
	Key      rawjson.Path  // of an element: its identifier
	Items    rawjson.Path  // of the answer: the array of elements
	Missing  int           // status for an identifier that the answer does not have
	Limits   Limits        // of an answer
	Timeout  time.Duration // of a call
	// Apart gives a call that is made beside others a context of its own to note facts in; may be nil.
	Apart   func(context.Context) context.Context
	Observe func(ctx context.Context, size int) (context.Context, func(error)) // is told of each call; may be nil
}

// Limits bound what an answer may cost.
type Limits struct {
	Bytes int64 // decoded
	Depth int
}

// Loader is the origin. It may be used concurrently.
type Loader struct {
	Config
	mu     sync.Mutex
	about  int               // requests that are on their way
	inside int               // of them, those that wait here
	open   map[string]*batch // that take reads, by what must be alike
}

var _ http.RoundTripper = (*Loader)(nil)

// New makes a Loader.
func New(c Config) *Loader { return &Loader{Config: c, open: make(map[string]*batch)} }

// batch is a call that has not set out, or is on its way. The goroutine of its first read makes the call.
type batch struct {
	group   string
	reads   []*read
	size    int           // of the URL
	waiting int           // requests for its reads
	full    chan struct{} // closed when it is to set out
	gone    bool          // full is closed
}

// read is one identifier that is wanted, by one or more requests.
type read struct {
	id    string
	asked *http.Request
	resp  *http.Response // without a body
	body  []byte
	err   error
	done  chan struct{} // closed when resp or err is there
}

// Enter says that n requests are on their way.
func (l *Loader) Enter(n int) {
	l.mu.Lock()
	l.about += n
	l.mu.Unlock()
}

// Leave says that n of them have their answer.
func (l *Loader) Leave(n int) {
	l.mu.Lock()
	l.about -= n
	l.dispatch()
	l.mu.Unlock()
}

// dispatch lets all batches set out if nothing that is about can join them.
func (l *Loader) dispatch() {
	if l.about > l.inside {
		return
	}
	for group, b := range l.open {
		l.seal(group, b)
	}
}

// seal lets b set out.
func (l *Loader) seal(group string, b *batch) {
	if l.open[group] == b {
		delete(l.open, group)
	}
	if !b.gone {
		b.gone = true
		l.inside -= b.waiting
		close(b.full)
	}
}

// RoundTrip answers a GET or HEAD whose URL's path holds what was captured, one value a segment.
func (l *Loader) RoundTrip(req *http.Request) (*http.Response, error) {
	values, err := captured(req.URL, len(l.Captured))
	if err != nil {
		return nil, err
	}
	id := values[l.ID]
	if err := urltemplate.CheckValue(id); err != nil {
		return nil, &Error{Code: http.StatusBadRequest, Kind: "http_request_error", What: "the identifier is not fit for a URL", Err: err}
	}
	if len(urltemplate.Escaped(id))+l.fixed(values) > l.URLBytes {
		return nil, &Error{Code: http.StatusRequestURITooLong, Kind: "http_request_error", What: "the identifier is too long"}
	}
	b, rd, first := l.join(values, id, req)
	if first {
		l.drive(req.Context(), b, values)
	}
	select {
	case <-rd.done:
	case <-req.Context().Done():
		return nil, context.Cause(req.Context())
	}
	return rd.answer(req)
}

// fixed is about how long the URL is without identifiers.
func (l *Loader) fixed(values []string) int {
	path, query, err := l.expand(values, []string{"x"})
	if err != nil {
		return 0
	}
	return len(path) + len(query) + 1
}

func (l *Loader) expand(values, ids []string) (path, query string, err error) {
	return l.Target.Expand(func(name string) ([]string, error) {
		if name == IDs {
			return ids, nil
		}
		return []string{values[slices.Index(l.Captured, name)]}, nil
	})
}

// join puts a read into the batch of its like. first tells that it is to drive it.
func (l *Loader) join(values []string, id string, req *http.Request) (b *batch, rd *read, first bool) {
	group := l.group(values, req.Header)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inside++
	b = l.open[group]
	if b != nil {
		b.waiting++
		for _, rd := range b.reads {
			if rd.id == id {
				l.dispatch()
				return b, rd, false
			}
		}
	}
	width := len(urltemplate.Escaped(id)) + 1
	if b != nil && b.size+width > l.URLBytes {
		b.waiting--
		l.seal(group, b)
		b = nil
	}
	if b == nil {
		b, first = &batch{group: group, size: l.fixed(values), waiting: 1, full: make(chan struct{})}, true
		l.open[group] = b
	}
	rd = &read{id: id, asked: req, done: make(chan struct{})}
	b.reads = append(b.reads, rd)
	b.size += width
	if len(b.reads) >= l.Max {
		l.seal(group, b)
	}
	l.dispatch()
	return b, rd, first
}

// group tells requests apart that must not share a call: by all that is forwarded. Lengths stand in front, so that no value passes for another.
func (l *Loader) group(values []string, h http.Header) string {
	var b strings.Builder
	for i, v := range values {
		if i != l.ID {
			fmt.Fprintf(&b, "%d:%s", len(v), v)
		}
	}
	for _, name := range l.Fields {
		fmt.Fprintf(&b, "|%d", len(h[name]))
		for _, v := range h[name] {
			fmt.Fprintf(&b, ":%d:%s", len(v), v)
		}
	}
	return b.String()
}

// drive waits until b is to set out, makes its call, and gives each read its answer. It does so to the end, whether its own client still waits or not: the others do.
func (l *Loader) drive(ctx context.Context, b *batch, values []string) {
	timer := time.NewTimer(l.Window)
	defer timer.Stop()
	select {
	case <-b.full:
	case <-timer.C:
		l.mu.Lock()
		l.seal(b.group, b)
		l.mu.Unlock()
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), l.Timeout)
	defer stop()
	defer l.finish(b)
	l.load(ctx, b, values)
}

// finish gives each read its answer, and fails those that were left without one: a panic must leave nobody waiting.
func (l *Loader) finish(b *batch) {
	for _, rd := range b.reads {
		if rd.resp == nil && rd.err == nil {
			rd.err = &Error{Code: http.StatusBadGateway, Kind: "proxy_internal_error", What: "the call came to nothing"}
		}
		close(rd.done)
	}
}

// captured reads what a request's path holds.
func captured(u *url.URL, n int) ([]string, error) {
	segments := strings.Split(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	if len(segments) != n {
		return nil, fmt.Errorf("batch: the path %q has not %d values", u.EscapedPath(), n)
	}
	for i, s := range segments {
		plain, err := url.PathUnescape(s)
		if err != nil {
			return nil, fmt.Errorf("batch: %w", err)
		}
		segments[i] = plain
	}
	return segments, nil
}
