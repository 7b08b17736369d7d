package build

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/batch"
	"github.com/penstock/penstock/proxy/observe"
)

// maxDecoded bounds how much larger content may be without its coding than with it.
const maxDecoded = 400

// plainOrigin is an origin whose responses the gateway itself reads, so they must have no content
// coding.
type plainOrigin struct {
	next  http.RoundTripper
	limit int64 // of the content, in bytes
}

// RoundTrip asks for no coding, and decodes a response that is coded nevertheless. It changes req's
// header, which belongs to the call alone.
func (o *plainOrigin) RoundTrip(req *http.Request) (*http.Response, error) {
	req.Header["Accept-Encoding"] = []string{"identity"}
	resp, err := o.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	coding := compress.HeaderCoding(resp.Header)
	if coding == compress.Identity || coding == compress.Unknown || resp.Body == http.NoBody || resp.StatusCode == http.StatusPartialContent {
		return resp, nil
	}
	decoder, err := compress.NewReader(resp.Body, coding, compress.Limit{Bytes: o.limit + 1, Ratio: maxDecoded})
	if err != nil {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("taking the coding off an answer: %w", err)
	}
	resp.Body, resp.ContentLength = &decoded{decoder, resp.Body}, -1
	for _, name := range []string{"Content-Encoding", "Content-Length", "Etag"} { // the validator belongs to the coded form
		delete(resp.Header, name)
	}
	return resp, nil
}

// decoded is content without its coding.
type decoded struct {
	io.ReadCloser
	source io.Closer
}

// Close closes the decoder and its source.
func (d *decoded) Close() error {
	err := d.ReadCloser.Close()
	if cerr := d.source.Close(); err == nil {
		err = cerr
	}
	return err
}

// countedOrigin counts the calls that serve several requests as fills of their route. Their content
// is counted where it is read.
type countedOrigin struct {
	next   http.RoundTripper
	route  string
	tracer *observe.Tracer
	filled func(*observe.Event) // nil if fills are not counted
	now    func() time.Time
}

// RoundTrip makes a call under an Event of its own.
func (o *countedOrigin) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, ev := o.tracer.StartRoot(req.Context(), "batch.flush", batch.Members(req.Context())...)
	ev.Start, ev.Route, ev.Method, ev.Host, ev.Cache = o.now(), o.route, req.Method, req.Host, observe.CacheMiss
	resp, err := o.next.RoundTrip(req.WithContext(ctx))
	ev.Err = err
	if o.filled != nil {
		ev.Took, ev.Status = o.now().Sub(ev.Start), ev.UpstreamStatus
		o.filled(ev)
	}
	return resp, err
}

// notedOrigin records the origin of the response in the Event of each request. The call itself has
// an Event of its own, which is not the request's.
type notedOrigin struct {
	next     http.RoundTripper
	upstream string
}

// RoundTrip records upstream and status.
func (o *notedOrigin) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := o.next.RoundTrip(req)
	ev := observe.FromContext(req.Context())
	ev.Upstream, ev.Err = o.upstream, err
	if err == nil {
		ev.UpstreamStatus = resp.StatusCode
	}
	return resp, err
}
