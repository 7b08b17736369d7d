package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/rawjson"
)

// Error is a failed read.
type Error struct {
	Code int    // status to answer with
	Kind string // error type of RFC 9209
	What string // in words, for whoever asked
	Err  error
}

// Error says what went wrong.
func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("batch: %s: %v", e.What, e.Err)
	}
	return "batch: " + e.What
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Status is the status to answer with.
func (e *Error) Status() int { return e.Code }

// ProxyStatus is the error type of RFC 9209.
func (e *Error) ProxyStatus() string { return e.Kind }

// Detail is the sentence for the client.
func (e *Error) Detail() string { return e.What }

// maxSingly is how many reads of a failed batch are made at once, each alone.
const maxSingly = 8

// load makes the call of b. Where that fails for what may be the fault of one identifier, each is asked for alone, once.
func (l *Loader) load(ctx context.Context, b *batch, values []string) {
	poisoned := l.call(ctx, b.reads, values)
	if !poisoned || len(b.reads) == 1 {
		return
	}
	slots := make(chan struct{}, maxSingly)
	var all sync.WaitGroup
	for _, rd := range b.reads {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			rd.resp, rd.err = nil, nil
			own := ctx
			if l.Apart != nil {
				own = l.Apart(ctx)
			}
			l.call(own, []*read{rd}, values)
		})
	}
	all.Wait()
}

// call makes one call for reads, and gives each what is its. It reports whether the call failed in a way that one identifier may have brought about.
func (l *Loader) call(ctx context.Context, reads []*read, values []string) (poisoned bool) {
	end := func(error) {}
	if l.Observe != nil {
		ctx, end = l.Observe(ctx, len(reads))
	}
	resp, err := l.send(ctx, reads, values)
	var items []byte
	if err == nil {
		defer resp.Body.Close()
		if resp.StatusCode >= 300 {
			poisoned = mayBePoison(resp.StatusCode)
			err = l.refused(reads, resp)
		} else if items, err = l.items(resp); err != nil {
			poisoned = ctx.Err() == nil
		}
	}
	end(err)
	if err != nil {
		fail(reads, err)
		return poisoned
	}
	l.split(reads, resp.Header, items)
	return false
}

// mayBePoison reports the statuses that one bad identifier among many can bring about. An upstream that is down, or asks for less, is not asked for more.
func mayBePoison(status int) bool {
	return status >= 400 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusUnauthorized || status == http.StatusInternalServerError
}

func fail(reads []*read, err error) {
	for _, rd := range reads {
		if rd.resp == nil {
			rd.err = err
		}
	}
}

// refused is the error of an answer that is none. A read that was made alone gets the answer's own status.
func (l *Loader) refused(reads []*read, resp *http.Response) error {
	if len(reads) == 1 && resp.StatusCode >= 400 {
		reads[0].resp = &http.Response{StatusCode: resp.StatusCode, Header: l.inherited(resp.Header)}
		for _, name := range [...]string{"Retry-After", "Www-Authenticate"} {
			if v := resp.Header[name]; len(v) > 0 {
				reads[0].resp.Header[name] = v
			}
		}
		return fmt.Errorf("the upstream answers %d", resp.StatusCode)
	}
	e := &Error{Code: http.StatusBadGateway, Kind: "http_protocol_error", What: fmt.Sprintf("the upstream answers %d to the batch", resp.StatusCode)}
	if resp.StatusCode >= 400 {
		e.Code = resp.StatusCode
	}
	return e
}

// send asks for reads.
func (l *Loader) send(ctx context.Context, reads []*read, values []string) (*http.Response, error) {
	ids := make([]string, len(reads))
	for i, rd := range reads {
		ids[i] = rd.id
	}
	path, query, err := l.expand(values, ids)
	if err != nil {
		return nil, &Error{Code: http.StatusBadRequest, Kind: "http_request_error", What: "an identifier is not fit for a URL", Err: err}
	}
	plain, err := url.PathUnescape(path)
	if err != nil {
		return nil, fmt.Errorf("batch: %w", err)
	}
	from := reads[0].asked
	h := http.Header{"Accept": {"application/json"}, "Accept-Encoding": {"identity"}}
	for _, name := range l.Fields {
		if v := from.Header[name]; len(v) > 0 {
			h[name] = slices.Clip(v)
		}
	}
	req := &http.Request{
		Method: http.MethodGet, Host: from.Host, Header: h, Body: http.NoBody, URL: &url.URL{Path: plain, RawPath: path, RawQuery: query},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: from.RemoteAddr,
	}
	return l.Origin.RoundTrip(req.WithContext(ctx))
}

// maxRatio bounds how much a coded answer may grow.
const maxRatio = 400

// items is the array of elements in the answer.
func (l *Loader) items(resp *http.Response) ([]byte, error) {
	useless := func(err error) error {
		return &Error{Code: http.StatusBadGateway, Kind: "http_protocol_error", What: "the batch's answer can't be used", Err: err}
	}
	if resp.ContentLength > l.Limits.Bytes {
		return nil, useless(fmt.Errorf("it has %d bytes, and %d are allowed", resp.ContentLength, l.Limits.Bytes))
	}
	body, err := compress.NewReader(resp.Body, compress.HeaderCoding(resp.Header), compress.Limit{Bytes: l.Limits.Bytes, Ratio: maxRatio})
	if err != nil {
		return nil, useless(err)
	}
	defer body.Close()
	doc, err := io.ReadAll(body)
	if err == nil {
		err = rawjson.Check(doc, l.Limits.Depth)
	}
	if err != nil {
		return nil, useless(err)
	}
	items, ok := l.Items.Select(doc)
	if !ok || !rawjson.IsArray(items) {
		return nil, useless(errors.New("there is no array of elements where it is to be"))
	}
	return items, nil
}
