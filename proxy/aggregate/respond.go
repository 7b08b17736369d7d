package aggregate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/penstock/penstock/proxy/rawjson"
)

// PartialField names the parts that an answer does without, or with something else in their place.
const PartialField = "X-Penstock-Partial"

// answer puts the results together.
func (r *run) answer() (*http.Response, error) {
	var values []named
	var missing, status []string
	var u reuse
	for i := range r.a.Parts {
		p, res := &r.a.Parts[i], &r.results[i]
		if r.fatal(i) && !r.cut(res.err) {
			return r.failed(p, res)
		}
		values = append(values, named{p.Name, res.value})
		passed := r.mayPass(p)
		for _, a := range res.answers {
			u.add(a, passed, r.a.TagField)
		}
		for _, h := range res.status {
			status = append(status, partStatus(p.Name, h)...)
		}
		if res.err != nil {
			missing = append(missing, p.Name)
			u.missing(res.retry)
		}
	}
	for i := range r.a.Parts { // only cut off, because of another that has failed or because the time is over
		if r.fatal(i) {
			return r.failed(&r.a.Parts[i], &r.results[i])
		}
	}
	body, err := r.merge(values)
	if err != nil {
		return nil, &Error{Code: http.StatusBadGateway, Kind: "http_protocol_error", Err: err}
	}
	h := r.header(&u, body)
	if missing != nil {
		h[PartialField] = []string{strings.Join(missing, ", ")}
	}
	if status != nil {
		h["Cache-Status"] = []string{strings.Join(status, ", ")}
	}
	return r.response(http.StatusOK, h, body), nil
}

// cut reports whether a part failed only because its time was over or another had failed.
func (r *run) cut(err error) bool { return errors.Is(err, context.Canceled) }

// mayPass are the fields that p may get of a client, with what this one has sent.
func (r *run) mayPass(p *Part) http.Header {
	h := make(http.Header, len(p.Fields))
	for _, name := range p.Fields {
		h[name] = r.req.Header[name]
	}
	return h
}

func (r *run) merge(values []named) ([]byte, error) {
	if r.a.Merge == Deep {
		return deep(values)
	}
	return namespace(values), nil
}

// header is that of an answer with this content.
func (r *run) header(u *reuse, body []byte) http.Header {
	sum := sha256.Sum256(body)
	h := http.Header{
		"Content-Type": {"application/json"},
		"Etag":         {`"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`},
		"Date":         {r.a.Now().UTC().Format(http.TimeFormat)},
	}
	if control := u.control(r.a.SilentTTL, len(r.req.Header["Authorization"]) > 0); control != "" {
		h["Cache-Control"] = []string{control}
	}
	if u.age > 0 {
		h["Age"] = []string{strconv.FormatInt(u.age, 10)}
	}
	if len(u.vary) > 0 {
		h["Vary"] = []string{strings.Join(u.vary, ", ")}
	}
	if len(u.tags) > 0 && r.a.TagField != "" {
		h[r.a.TagField] = []string{strings.Join(u.tags, " ")}
	}
	return h
}

// response is an answer to the request, or 304 where that is what it has (RFC 9110 §13.1.2).
func (r *run) response(status int, h http.Header, body []byte) *http.Response {
	if status == http.StatusOK && matches(r.req.Header["If-None-Match"], h.Get("Etag")) {
		status, body = http.StatusNotModified, nil
		delete(h, "Content-Type")
	} else {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	resp := &http.Response{
		Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)), Request: r.req,
	}
	if r.req.Method == http.MethodHead {
		resp.Body = http.NoBody
	}
	return resp
}

// matches compares weakly, as If-None-Match does (RFC 9110 §8.8.3.2).
func matches(lines []string, etag string) bool {
	for item := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		if item = strings.TrimSpace(item); item == "*" || strings.TrimPrefix(item, "W/") == etag {
			return true
		}
	}
	return false
}

// failed is the answer of a whole that fails because of p: with the status that p was answered with, where it was, else an error.
func (r *run) failed(p *Part, res *result) (*http.Response, error) {
	var s *statusError
	if !errors.As(res.err, &s) {
		return nil, failure(p.Name, res.err)
	}
	if s.status < 400 { // a redirect is for clients to follow
		return nil, &Error{Part: p.Name, Code: http.StatusBadGateway, Kind: "http_protocol_error", Err: res.err}
	}
	var u reuse
	u.add(s.answer, r.mayPass(p), r.a.TagField)
	body := append([]byte(`{"title":`), rawjson.AppendQuoted(nil, http.StatusText(s.status))...)
	body = append(body, `,"status":`+strconv.Itoa(s.status)+`,"part":`...)
	body = append(rawjson.AppendQuoted(body, p.Name), "}\n"...)
	h := r.header(&u, body)
	h["Content-Type"] = []string{"application/problem+json"}
	h[PartialField] = []string{p.Name}
	if after := s.answer.Header["Retry-After"]; len(after) > 0 {
		h["Retry-After"] = after
	}
	if status := partStatus(p.Name, s.answer.Header); status != nil {
		h["Cache-Status"] = []string{strings.Join(status, ", ")}
	}
	return r.response(s.status, h, body), nil
}

// failure is err with what a client is to be told of it.
func failure(part string, err error) error {
	e := &Error{Part: part, Code: http.StatusBadGateway, Kind: "http_protocol_error", Err: err}
	var told interface {
		Status() int
		ProxyStatus() string
	}
	switch {
	case errors.As(err, &told):
		e.Code, e.Kind = told.Status(), told.ProxyStatus()
	case errors.Is(err, context.DeadlineExceeded):
		e.Code, e.Kind = http.StatusGatewayTimeout, "http_response_timeout"
	}
	return e
}

// partStatus is what the caches on a part's way have said (RFC 9211), under the part's name.
func partStatus(part string, h http.Header) []string {
	line := strings.Join(h["Cache-Status"], ", ")
	if line == "" {
		return nil
	}
	last := line[strings.LastIndex(line, ", ")+1:]
	cache, parameters, _ := strings.Cut(strings.TrimSpace(last), ";")
	status := strings.TrimSpace(cache) + "/" + part
	if parameters != "" {
		status += ";" + parameters
	}
	return []string{status}
}

// refuse answers methods that an answer of several parts has no meaning for.
func (a *Aggregate) refuse(req *http.Request) *http.Response {
	r := &run{a: a, req: req}
	return r.response(http.StatusMethodNotAllowed, http.Header{"Allow": {"GET, HEAD"}, "Date": {a.Now().UTC().Format(http.TimeFormat)}}, nil)
}
