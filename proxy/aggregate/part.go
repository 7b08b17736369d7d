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

// retryAfter is when a part that failed may be asked for again, where it does not say itself: as long as the cache leaves an origin alone that failed.
const retryAfter = time.Second

// result is what came of a part.
type result struct {
	value   []byte        // JSON; nil: left out
	answers []*Answer     // that it was made of
	status  []http.Header // of all answers that came
	err     error         // why it is missing or replaced; nil: it is complete
	retry   time.Duration
}

// statusError is an answer that is none.
type statusError struct {
	status int
	answer *Answer
}

func (e *statusError) Error() string { return "answered with status " + strconv.Itoa(e.status) }

var (
	errNull    = errors.New("a value that it needs is null")
	errMissing = errors.New("a value that it needs is not there")
	errStale   = errors.New("the upstream fails, and what is stored stands in for its answer")
)

// part asks for one part, once those that it needs are there, and puts in its place what is to stand there if it fails.
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
		if errors.Is(res.err, errNull) { // there is nothing to ask for: as in `manager_id: null`
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

// stand puts in the place of a failed answer what p says.
func (r *run) stand(ctx context.Context, p *Part, element []byte, res result) result {
	if res.err == nil {
		return res
	}
	if res.retry = retryOf(res.err); errors.Is(res.err, errStale) {
		return res // it stands in already
	}
	switch p.OnError {
	case Null:
		res.value = []byte("null")
	case Default:
		res.value = p.Default
	case Stale:
		if old := r.stale(ctx, p, element); old.value != nil {
			res.value, res.answers, res.status = old.value, old.answers, append(res.status, old.status...)
		}
	}
	return res
}

// stale asks for what is stored, however old it is (RFC 9111 §5.2.1.2, §5.2.1.7).
func (r *run) stale(ctx context.Context, p *Part, element []byte) result {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.a.Timeout)
	defer cancel()
	return r.call(ctx, p, element, http.Header{"Cache-Control": {"only-if-cached, max-stale"}})
}

// one makes the part's call and takes of the answer what is selected.
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
		return res
	}
	res.answers = []*Answer{answer}
	if answer.Stale {
		res.err = errStale
	}
	return res
}

// content is what is taken of an answer.
func content(a *Answer, selected rawjson.Path) ([]byte, error) {
	if a.Status < 200 || a.Status > 299 {
		return nil, &statusError{a.Status, a}
	}
	if len(bytes.TrimSpace(a.Body)) == 0 {
		return nil, errors.New("the answer has no content")
	}
	if err := rawjson.Check(a.Body); err != nil {
		return nil, fmt.Errorf("the answer is not JSON that can be taken on: %w", err)
	}
	if selected.Many() {
		found, ok := selected.All(a.Body)
		if !ok {
			return nil, fmt.Errorf("the answer has no %s", selected)
		}
		return array(found), nil
	}
	value, ok := selected.Find(a.Body)
	if !ok {
		return nil, fmt.Errorf("the answer has no %s", selected)
	}
	return value, nil
}

// array is the values as one array; those that are not there are left out.
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

// each makes a call for each of the values that path leads to in from, one for those that are equal, and joins what they bring in order.
func (r *run) each(ctx context.Context, p *Part, from []byte, path rawjson.Path) result {
	values, ok := path.All(from)
	if !ok {
		return r.stand(ctx, p, nil, result{err: errMissing})
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
		case !ok && (v == nil || rawjson.Kind(v) == 'n'): // nothing to ask for
			results[i].value = []byte("null")
			continue
		case !ok:
			results[i] = r.stand(ctx, p, v, result{err: errors.New("a value of foreach is no single value")})
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
		all.value = nil // an element that is not even there stale can't be left out unsaid
	}
	return all
}

// joined is the array of what was asked for each value. The first error is that of the part; what stands in the places of the others is there.
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

// retryOf is when a failed part may be asked for again.
func retryOf(err error) time.Duration {
	var s *statusError
	if errors.As(err, &s) {
		if seconds, err := strconv.ParseUint(s.answer.Header.Get("Retry-After"), 10, 31); err == nil && seconds > 0 {
			return time.Duration(seconds) * time.Second
		}
	}
	return retryAfter
}
