package aggregate

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// PartialField names the parts that the response lacks or replaces.
const PartialField = "X-Penstock-Partial"

// answer combines the results.
func (r *run) answer(ctx context.Context) (*http.Response, error) {
	var body []byte
	var err error
	if !r.fails() {
		body, err = r.merge(ctx)
	}
	var missing, status []string
	var u reuse
	for i := range r.a.Parts {
		p, res := &r.a.Parts[i], &r.results[i]
		if r.fatal(i) && !r.cut(res.err) {
			return r.failed(i)
		}
		r.account(&u, i)
		for _, h := range res.status {
			status = append(status, partStatus(p.Name, h)...)
		}
		if res.err != nil {
			missing = append(missing, p.Name)
		}
	}
	for i := range r.a.Parts { // the remaining failures are cancellations, because of another failure or a timeout
		if r.fatal(i) {
			return r.failed(i)
		}
	}
	if err != nil {
		return nil, &Error{Code: http.StatusBadGateway, Kind: "http_protocol_error", Err: err}
	}
	h := r.header(&u, body)
	if missing != nil {
		h[PartialField] = []string{strings.Join(missing, ", ")}
	}
	if status := bounded(status, maxField); status != "" {
		h["Cache-Status"] = []string{status}
	}
	return r.response(http.StatusOK, h, body), nil
}

// account adds the restrictions of part i on the reuse of the whole.
func (r *run) account(u *reuse, i int) {
	p, res := &r.a.Parts[i], &r.results[i]
	passed := r.mayPass(p)
	for _, a := range res.answers {
		u.add(a, passed, r.a.TagField)
	}
	if res.err != nil {
		u.addFailure(res.failed, passed, res.retry)
	}
}

// accountNeeds adds the restrictions of the parts that part i depends on, directly or indirectly.
func (r *run) accountNeeds(u *reuse, i int) {
	for _, n := range r.a.needs[i] {
		r.account(u, n)
		r.accountNeeds(u, n)
	}
}

// cut reports whether a part failed only because the calls were cancelled.
func (r *run) cut(err error) bool { return errors.Is(err, context.Canceled) }

// mayPass returns the client's fields that p is allowed to see, including absent ones (with nil
// values).
func (r *run) mayPass(p *Part) http.Header {
	h := make(http.Header, len(p.Fields))
	for _, name := range p.Fields {
		h[name] = r.req.Header[name]
	}
	return h
}

// merge combines the values. With Deep, a part that contradicts the others has failed, and its
// OnError determines its value; merge then changes its result.
func (r *run) merge(ctx context.Context) ([]byte, error) {
	if r.a.Merge != Deep {
		return namespace(r.values(nil)), nil
	}
	if body, err := deep(r.values(nil)); err == nil {
		return body, nil
	}
	// A part that may be missing yields to a part that may not.
	var order []int
	for _, must := range []bool{true, false} {
		for i := range r.a.Parts {
			if (r.a.Parts[i].OnError == Fail) == must {
				order = append(order, i)
			}
		}
	}
	fits := make([]bool, len(r.a.Parts))
	for _, i := range order {
		fits[i] = true
		_, err := deep(r.values(fits))
		if err == nil {
			continue
		}
		p := &r.a.Parts[i]
		before := r.results[i]
		r.results[i] = r.stand(ctx, p, nil, result{err: &contentError{"cannot be merged: " + err.Error()}, failed: before.answers, status: before.status})
		if _, err := deep(r.values(fits)); err != nil || r.fatal(i) {
			return nil, cmp.Or(err, r.results[i].err)
		}
	}
	return deep(r.values(nil))
}

// fails reports whether some part makes the whole fail.
func (r *run) fails() bool {
	for i := range r.a.Parts {
		if r.fatal(i) {
			return true
		}
	}
	return false
}

// values returns the values of the chosen parts, or of all parts if chosen is nil.
func (r *run) values(chosen []bool) []named {
	var out []named
	for i := range r.a.Parts {
		if chosen == nil || chosen[i] {
			out = append(out, named{r.a.Parts[i].Name, r.results[i].value})
		}
	}
	return out
}

func (a *Aggregate) authorized(req *http.Request) bool {
	return len(req.Header["Authorization"]) > 0 || a.Authorized != nil && a.Authorized(req)
}

// header returns the header of a response with this body.
func (r *run) header(u *reuse, body []byte) http.Header {
	sum := sha256.Sum256(body)
	h := http.Header{
		"Content-Type": {"application/json"},
		"Etag":         {`"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`},
		"Date":         {r.a.Now().UTC().Format(http.TimeFormat)},
	}
	if control := u.control(r.a.SilentTTL, r.a.authorized(r.req)); control != "" {
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

// response returns the response to the request, or 304 if the client has it already (RFC 9110
// §13.1.2).
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

// matches compares weakly, as If-None-Match requires (RFC 9110 §8.8.3.2).
func matches(lines []string, etag string) bool {
	for item := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		if item = strings.TrimSpace(item); item == "*" || strings.TrimPrefix(item, "W/") == etag {
			return true
		}
	}
	return false
}

// failed returns the response for a whole that fails because of part i: the part's own status if it
// has one, else an error.
func (r *run) failed(i int) (*http.Response, error) {
	p, res := &r.a.Parts[i], &r.results[i]
	var s *statusError
	if !errors.As(res.err, &s) {
		return nil, failure(p.Name, res.err)
	}
	if s.status < 400 { // redirects are for clients to follow
		return nil, &Error{Part: p.Name, Code: http.StatusBadGateway, Kind: "http_protocol_error", Err: res.err}
	}
	var u reuse
	u.add(s.answer, r.mayPass(p), r.a.TagField)
	r.accountNeeds(&u, i) // another user's values could have given another response
	body := problem(p.Name, s.answer)
	h := r.header(&u, body)
	h["Content-Type"] = []string{"application/problem+json"}
	h[PartialField] = []string{p.Name}
	for _, name := range demanded {
		if values := s.answer.Header[name]; len(values) > 0 {
			h[name] = values
		}
	}
	if status := partStatus(p.Name, s.answer.Header); status != nil {
		h["Cache-Status"] = []string{strings.Join(status, ", ")}
	}
	return r.response(s.status, h, body), nil
}

// failure wraps err with the status and error type for the client.
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

const (
	maxField  = 7 << 10 // maximum bytes of a field that combines values of the parts
	maxStatus = 512     // maximum bytes of one cache's Cache-Status
)

// bounded joins as many list members as fit into most bytes.
func bounded(members []string, most int) string {
	n := 0
	for i, m := range members {
		if n += len(m) + 2; n > most {
			members = members[:i]
			break
		}
	}
	return strings.Join(members, ", ")
}

// partStatus returns the Cache-Status of the last cache on a part's path (RFC 9211), renamed for
// the part.
func partStatus(part string, h http.Header) []string {
	line := strings.Join(h["Cache-Status"], ", ")
	if line == "" {
		return nil
	}
	last := line[strings.LastIndex(line, ", ")+1:]
	cache, parameters, _ := strings.Cut(strings.TrimSpace(last), ";")
	if len(last) > maxStatus {
		return nil // its length is under the origin's control
	}
	status := strings.TrimSpace(cache) + "/" + part
	if parameters != "" {
		status += ";" + parameters
	}
	return []string{status}
}

// refuse answers a method other than GET and HEAD.
func (a *Aggregate) refuse(req *http.Request) *http.Response {
	r := &run{a: a, req: req}
	return r.response(http.StatusMethodNotAllowed, http.Header{"Allow": {"GET, HEAD"}, "Date": {a.Now().UTC().Format(http.TimeFormat)}}, nil)
}
