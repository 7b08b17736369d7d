package aggregate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/rawjson"
)

// answer is what one call brought.
type answer struct {
	value  []byte // what was selected of it
	facts  cachepolicy.Part
	status string // its member of Cache-Status
	tags   []string
}

// maxRatio bounds how much a coded answer may grow: the best that gzip can do is about 1000 to 1, and no honest text comes near.
const maxRatio = 400

// request makes the request of a part. element is that of its Foreach.
func (r *run) request(ctx context.Context, i int, element string) (*http.Request, *Error) {
	p, plan := &r.Parts[i], &r.plans[i]
	path, query, err := p.Target.Expand(func(name string) ([]string, error) {
		if name == "" {
			return []string{element}, nil
		}
		v, err := r.value(plan.sources[name])
		return []string{v}, err
	})
	if err != nil {
		return nil, missing(p.Name, "a value that it needs is missing, or not fit for a URL", err)
	}
	plain, err := url.PathUnescape(path)
	if err != nil {
		return nil, missing(p.Name, "its URL is none", err)
	}
	req := &http.Request{
		Method: http.MethodGet, Host: r.asked.Host, Header: r.fields(p), Body: http.NoBody,
		URL:   &url.URL{Scheme: r.asked.URL.Scheme, Path: plain, RawPath: path, RawQuery: query},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: r.asked.RemoteAddr,
	}
	if p.Host != "" {
		req.Host = p.Host
	}
	if p.Scheme != "" {
		req.URL.Scheme = p.Scheme
	}
	return req.WithContext(ctx), nil
}

var errMissing = errors.New("it is not there, or neither text nor a number")

// value is what a source has.
func (r *run) value(s source) (string, error) {
	if s.captured >= 0 {
		if s.captured >= len(r.captured) {
			return "", errMissing
		}
		return r.captured[s.captured], nil
	}
	doc, ok := s.path.Select(r.results[s.part].value)
	if !ok {
		return "", errMissing
	}
	text, ok := rawjson.Scalar(doc)
	if !ok {
		return "", errMissing
	}
	return text, nil
}

// fields are the request fields of a part: those that it is to get, and what the client says of caching, which is for each call as well.
func (r *run) fields(p *Part) http.Header {
	h := make(http.Header, len(p.Fields)+4)
	h["Accept"], h["Accept-Encoding"] = acceptJSON, acceptPlain
	for _, name := range p.Fields {
		if v := r.asked.Header[name]; len(v) > 0 {
			h[name] = slices.Clip(v)
		}
	}
	for _, name := range [...]string{"Cache-Control", "Pragma"} {
		if v := r.asked.Header[name]; len(v) > 0 {
			h[name] = slices.Clip(v)
		}
	}
	return h
}

// Nobody writes to these.
var (
	acceptJSON  = []string{"application/json"}
	acceptPlain = []string{"identity"}
)

// call makes req.
func (r *run) call(p *Part, req *http.Request) (*answer, *Error) {
	resp, err := p.Call.RoundTrip(req)
	if err != nil {
		return nil, callError(p.Name, err)
	}
	return r.take(p, req, resp)
}

// stale answers req from what is stored.
func (r *run) stale(p *Part, req *http.Request) *answer {
	if req == nil {
		return nil
	}
	resp, ok := p.Call.Stale(req.WithContext(context.WithoutCancel(req.Context()))) // its time is up
	if !ok {
		return nil
	}
	a, err := r.take(p, req, resp)
	if err != nil {
		return nil
	}
	return a
}

// take reads an answer.
func (r *run) take(p *Part, req *http.Request, resp *http.Response) (*answer, *Error) {
	defer resp.Body.Close()
	switch code := resp.StatusCode; {
	case code >= 400:
		return nil, &Error{Part: p.Name, Code: code, Header: resp.Header, What: fmt.Sprintf("the upstream answers %d", code)}
	case code >= 300:
		return nil, useless(p.Name, "the upstream answers with a redirect, which is not followed", nil)
	case code == http.StatusPartialContent:
		return nil, useless(p.Name, "the upstream answers with a part", nil)
	}
	doc, err := r.read(resp)
	if err != nil {
		if req.Context().Err() != nil {
			return nil, callError(p.Name, context.Cause(req.Context()))
		}
		return nil, useless(p.Name, "its answer can't be used", err)
	}
	value, ok := p.Select.Select(doc)
	if !ok {
		return nil, useless(p.Name, "its answer does not have what is selected", nil)
	}
	a := &answer{value: value, status: lastMember(resp.Header), facts: cachepolicy.Part{
		Status: resp.StatusCode, Header: resp.Header, Received: r.Now(), Fields: p.Fields,
		Credentials: len(req.Header["Authorization"]) > 0 || len(req.Header["Cookie"]) > 0,
	}}
	if r.TagField != "" {
		a.tags = resp.Header[r.TagField]
	}
	return a, nil
}

// read is the document that resp holds.
func (r *run) read(resp *http.Response) ([]byte, error) {
	coding, limit := compress.HeaderCoding(resp.Header), r.Limits.PartBytes
	if resp.ContentLength > limit {
		return nil, fmt.Errorf("it has %d bytes, and %d are allowed", resp.ContentLength, limit)
	}
	body := io.Reader(resp.Body)
	size := max(0, resp.ContentLength)
	if coding != compress.Identity {
		decoder, err := compress.NewReader(resp.Body, coding, compress.Limit{Bytes: limit, Ratio: maxRatio})
		if err != nil {
			return nil, err
		}
		defer decoder.Close()
		body, size = decoder, 4*size
	}
	doc, err := readAll(body, size, limit)
	if err != nil {
		return nil, err
	}
	if r.spent.Add(int64(len(doc))) > r.Limits.Bytes {
		return nil, fmt.Errorf("the answers together have more than the %d bytes that are allowed", r.Limits.Bytes)
	}
	if err := rawjson.Check(doc, r.Limits.Depth); err != nil {
		return nil, fmt.Errorf("it is not JSON that everybody reads alike: %w", err)
	}
	return doc, nil
}

// readAll reads a body of about the given size, and not more than limit.
func readAll(body io.Reader, size, limit int64) ([]byte, error) {
	doc := make([]byte, 0, min(size, limit)+512)
	for {
		n, err := body.Read(doc[len(doc):cap(doc)])
		doc = doc[:len(doc)+n]
		switch {
		case int64(len(doc)) > limit:
			return nil, fmt.Errorf("it has more than the %d bytes that are allowed", limit)
		case err == io.EOF:
			return doc, nil
		case err != nil:
			return nil, err
		}
		if len(doc) == cap(doc) {
			doc = slices.Grow(doc, len(doc))
		}
	}
}

// lastMember is the member of Cache-Status that was added last.
func lastMember(h http.Header) string {
	lines := h["Cache-Status"]
	if len(lines) == 0 {
		return ""
	}
	last := lines[len(lines)-1]
	if i := strings.LastIndex(last, ", "); i >= 0 {
		return last[i+2:]
	}
	return last
}
