package aggregate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/penstock/penstock/proxy/rawjson"
)

// retryAfter is the time after which a failed part is requested again if it sends no Retry-After.
// The cache uses the same time for a failed origin.
const retryAfter = time.Second

// result is the result of a part.
type result struct {
	value   []byte        // JSON; nil if the part is left out
	answers []*Answer     // the responses that it was made from
	failed  []*Answer     // responses that could not be used or are only substitutes; see reuse.addFailure
	status  []http.Header // headers of all received responses
	err     error         // why the part is missing or replaced; nil if it is complete
	retry   time.Duration
}

// statusError reports a response whose status is not 2xx.
type statusError struct {
	status int
	answer *Answer
}

func (e *statusError) Error() string { return "answered with status " + strconv.Itoa(e.status) }

var (
	errNull    = errors.New("a value that it needs is null")
	errMissing = errors.New("a value that it needs is missing")
	errStale   = errors.New("the upstream fails, and its stored response replaces the answer")
)

// part requests one part after the parts that it depends on. If it fails, OnError determines its
// value.
func (r *run) part(ctx context.Context, p *Part) result {
	begun := r.a.Now()
	if p.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.Timeout)
		defer cancel()
	}
	var res result
	if name, path := p.Each.First(); name != "" {
		res = r.each(ctx, p, r.results[r.a.index[name]].value, path)
	} else {
		res = r.one(ctx, p, nil)
		if errors.Is(res.err, errNull) { // there is nothing to request, as with `manager_id: null`
			res = result{value: []byte("null")}
		}
		res = r.stand(ctx, p, nil, res)
	}
	if r.a.Observe != nil {
		outcome := Complete
		if res.err != nil {
			if outcome = Replaced; res.value == nil && p.OnError != Omit {
				outcome = Failed
			}
		}
		r.a.Observe(ctx, p.Name, outcome, r.a.Now().Sub(begun))
	}
	return res
}

// stand replaces a failed result according to p.OnError.
func (r *run) stand(ctx context.Context, p *Part, element []byte, res result) result {
	if res.err == nil {
		return res
	}
	if res.retry = retryOf(res.err); errors.Is(res.err, errStale) {
		return res // it is a replacement already
	}
	if r.a.Refused != nil && (errors.As(res.err, new(*contentError)) || errors.As(res.err, new(*boundError))) {
		r.a.Refused(ctx, p.Name, res.err)
	}
	switch p.OnError {
	case Null:
		res.value = []byte("null")
	case Default:
		res.value = p.Default
	case Stale:
		if old := r.stale(ctx, p, element); old.value != nil {
			res.value, res.answers, res.failed, res.status = old.value, old.answers, old.answers, append(res.status, old.status...)
		}
	}
	return res
}

// stale requests the stored response, however old it is (RFC 9111 §5.2.1.2, §5.2.1.7).
func (r *run) stale(ctx context.Context, p *Part, element []byte) result {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.a.Timeout)
	defer cancel()
	return r.call(ctx, p, element, http.Header{"Cache-Control": {"only-if-cached, max-stale"}})
}

// one makes one call of the part and selects its value.
func (r *run) one(ctx context.Context, p *Part, element []byte) result {
	return r.call(ctx, p, element, nil)
}

func (r *run) call(ctx context.Context, p *Part, element []byte, directives http.Header) result {
	target, err := p.URL.Expand(func(ref Ref) (string, error) { return r.value(ref, element) })
	if err != nil {
		return result{err: err}
	}
	header := r.passed(p)
	for name, values := range directives {
		header[name] = values
	}
	req := &http.Request{
		Method: http.MethodGet, URL: target, Host: r.req.Host, Header: header, Proto: r.req.Proto, ProtoMajor: r.req.ProtoMajor, ProtoMinor: r.req.ProtoMinor,
		Body: http.NoBody, RemoteAddr: r.req.RemoteAddr,
	}
	answer, err := p.Fetcher.Fetch(ctx, req)
	if err != nil {
		return result{err: err}
	}
	res := result{status: []http.Header{answer.Header}}
	if res.value, res.err = content(answer, p.Select); res.err != nil {
		res.failed = []*Answer{answer}
		return res
	}
	res.answers = []*Answer{answer}
	if answer.Stale {
		res.err, res.failed = errStale, res.answers
	}
	return res
}

// content returns the selected value of a response.
func content(a *Answer, selected rawjson.Path) ([]byte, error) {
	if a.Status < 200 || a.Status > 299 {
		return nil, &statusError{a.Status, a}
	}
	body := []byte("null") // for 204, and for 200 without content
	if len(bytes.TrimSpace(a.Body)) > 0 {
		var err error
		if body, err = rawjson.Clean(a.Body); err != nil {
			return nil, &contentError{"is not valid JSON: " + err.Error()}
		}
	}
	if selected.Many() {
		found, ok := selected.All(body)
		if !ok && !selected.Lacks(body) {
			return nil, &contentError{selected.Why(body)}
		}
		return array(found), nil
	}
	value, ok := selected.Find(body)
	switch {
	case ok:
		return value, nil
	case selected.Lacks(body):
		return []byte("null"), nil
	}
	return nil, &contentError{selected.Why(body)}
}

// contentError says why the content of a response cannot be used. It is the origin's fault, and the
// operator needs to know of it.
type contentError struct{ why string }

func (e *contentError) Error() string { return "the answer " + e.why }

// array joins the values in a JSON array, without the nil ones.
func array(values [][]byte) []byte {
	out := []byte{'['}
	for _, v := range values {
		if v == nil {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, v...)
	}
	return append(out, ']')
}

// each makes a call for each value that path finds in from, and joins their results in order. Equal
// values share a call.
func (r *run) each(ctx context.Context, p *Part, from []byte, path rawjson.Path) result {
	values, ok := path.All(from)
	if !ok && !path.Lacks(from) {
		return r.stand(ctx, p, nil, result{err: fmt.Errorf("the list for foreach: the part %s", path.Why(from))})
	}
	if len(values) > p.Limit {
		return r.stand(ctx, p, nil, result{err: fmt.Errorf("%d values, more than the limit of %d", len(values), p.Limit)})
	}
	if g, ok := p.Fetcher.(Gatherer); ok {
		defer g.Gather(len(values))()
	}
	firsts := make(map[string]int, len(values))
	results := make([]result, len(values))
	var calls sync.WaitGroup
	room := make(chan struct{}, max(1, p.AtOnce))
	for i, v := range values {
		text, ok := rawjson.Scalar(v)
		switch _, had := firsts[text]; {
		case !ok && (v == nil || rawjson.Kind(v) == 'n'): // there is nothing to request
			results[i].value = []byte("null")
			continue
		case !ok:
			results[i] = r.stand(ctx, p, v, result{err: errors.New("a value of foreach is not a string, number or boolean")})
			continue
		case had:
			continue
		}
		firsts[text] = i
		room <- struct{}{}
		calls.Go(func() {
			defer func() { <-room }()
			results[i] = r.stand(ctx, p, v, r.one(ctx, p, v))
		})
	}
	calls.Wait()
	all := joined(values, firsts, results)
	if p.OnError == Stale && slices.ContainsFunc(results, func(res result) bool { return res.err != nil && res.value == nil }) {
		all.value = nil // an element without even a stale response must not be left out silently
	}
	return all
}

// joined returns the array of the results for the values. The error of the part is the first one,
// or one without a replacement.
func joined(values [][]byte, firsts map[string]int, results []result) result {
	var all result
	elements := make([][]byte, len(values))
	for i, v := range values {
		from := i
		if text, ok := rawjson.Scalar(v); ok {
			from = firsts[text]
		}
		res := &results[from]
		elements[i] = res.value
		if from != i {
			continue
		}
		all.answers, all.status = append(all.answers, res.answers...), append(all.status, res.status...)
		if res.err != nil {
			if all.failed = append(all.failed, res.failed...); len(res.failed) == 0 {
				all.failed = append(all.failed, new(Answer)) // no response could declare the failure public
			}
			if all.err == nil || res.value == nil {
				all.err = res.err
			}
			if all.retry == 0 || res.retry < all.retry {
				all.retry = res.retry
			}
		}
	}
	all.value = array(elements)
	return all
}

// retryOf returns the time after which a failed part may be requested again.
func retryOf(err error) time.Duration {
	var s *statusError
	if errors.As(err, &s) {
		if seconds, err := strconv.ParseUint(s.answer.Header.Get("Retry-After"), 10, 31); err == nil && seconds > 0 {
			return time.Duration(seconds) * time.Second
		}
	}
	return retryAfter
}
