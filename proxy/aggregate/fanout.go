package aggregate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/rawjson"
)

// run is one answer in the making.
type run struct {
	*Aggregate
	asked    *http.Request
	captured []string
	ctx      context.Context
	cancel   context.CancelCauseFunc
	results  []result
	ended    []chan struct{} // of each part; closed when its result is there
	slots    chan struct{}   // holds one for each call under way
	spent    atomic.Int64    // bytes read
	failed   atomic.Pointer[Error]
}

// result is what became of a part.
type result struct {
	value   []byte // what stands in the answer; nil: nothing
	answers []*answer
	err     *Error        // why it, or some of it, is missing
	retry   time.Duration // when what is missing may be had again
	status  string        // its member of Cache-Status
}

// start begins all parts and waits until all have ended.
func (a *Aggregate) start(req *http.Request) (*run, error) {
	values, err := captured(req.URL)
	if err != nil {
		return nil, fmt.Errorf("reading the path of an aggregate: %w", err)
	}
	if len(values) < len(a.Captured) {
		return nil, fmt.Errorf("the path of an aggregate has %d values, not %d", len(values), len(a.Captured))
	}
	ctx, stop := context.WithTimeout(req.Context(), a.Timeout)
	defer stop()
	if a.Prepare != nil {
		ctx = a.Prepare(ctx, values)
	}
	r := &run{
		Aggregate: a, asked: req, captured: values, results: make([]result, len(a.Parts)), ended: make([]chan struct{}, len(a.Parts)),
		slots: make(chan struct{}, a.Limits.Parallel),
	}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	defer r.cancel(nil)
	for i := range r.ended {
		r.ended[i] = make(chan struct{})
	}
	var all sync.WaitGroup
	for i := range a.Parts[1:] {
		all.Go(func() { r.part(i + 1) })
	}
	r.part0(&all)
	all.Wait()
	return r, nil
}

// part0 runs the first part on the caller's own goroutine, unless it waits for others.
func (r *run) part0(all *sync.WaitGroup) {
	if len(r.plans[0].needs) == 0 {
		r.part(0)
		return
	}
	all.Go(func() { r.part(0) })
}

// part waits for what part i needs, and makes its calls.
func (r *run) part(i int) {
	defer close(r.ended[i])
	p, res := &r.Parts[i], &r.results[i]
	for _, n := range r.plans[i].needs {
		select {
		case <-r.ended[n]:
		case <-r.ctx.Done():
			r.settle(p, res, callError(p.Name, context.Cause(r.ctx)), nil)
			return
		}
	}
	ctx := r.ctx
	if p.Timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, p.Timeout)
		defer stop()
	}
	end := func(string, error) {}
	if r.Observe != nil {
		ctx, end = r.Observe(ctx, p.Name)
	}
	if p.Foreach.Whole() {
		r.one(ctx, i)
	} else {
		r.each(ctx, i)
	}
	end(res.status, res.problem())
}

// problem is err as an interface that is nil where there is none.
func (res *result) problem() error {
	if res.err == nil {
		return nil
	}
	return res.err
}

// enter waits for a place among the calls under way.
func (r *run) enter(ctx context.Context, p *Part) *Error {
	select {
	case r.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return callError(p.Name, context.Cause(ctx))
	}
}

// one makes the one call of part i.
func (r *run) one(ctx context.Context, i int) {
	p, res := &r.Parts[i], &r.results[i]
	req, failed := r.request(ctx, i, "")
	if failed == nil {
		failed = r.enter(ctx, p)
	}
	if failed != nil {
		r.settle(p, res, failed, req)
		return
	}
	a, failed := r.call(p, req)
	<-r.slots
	if failed != nil {
		r.settle(p, res, failed, req)
		return
	}
	res.value, res.answers, res.status = a.value, []*answer{a}, a.status
}

// settle does what the part's OnError says.
func (r *run) settle(p *Part, res *result, failed *Error, req *http.Request) {
	res.err, res.retry = failed, r.retry(failed)
	switch p.OnError {
	case Omit:
	case Null:
		res.value = []byte("null")
	case Default:
		res.value = p.Default
	case Stale:
		if a := r.stale(p, req); a != nil {
			a.facts.Retry = max(res.retry, time.Second)
			res.value, res.answers, res.status = a.value, []*answer{a}, a.status
			return
		}
		r.fail(failed)
	default:
		r.fail(failed)
	}
}

var errFailed = errors.New("another part has failed")

// fail ends the whole. What fails because of that is not the cause.
func (r *run) fail(failed *Error) {
	if errors.Is(failed, errFailed) {
		return
	}
	if r.failed.CompareAndSwap(nil, failed) {
		r.cancel(errFailed)
	}
}

// retry is when a part that failed may be had: when it says so itself, or its answer is no longer fresh, else after Retry.
func (r *run) retry(failed *Error) time.Duration {
	if failed.Header != nil {
		if d, ok := cachepolicy.RetryAfter(failed.Code, failed.Header, r.Now()); ok {
			return min(d, max(maxRetry, r.Retry))
		}
	}
	return r.Retry
}

// maxRetry bounds what an upstream may ask for: an answer that lacks a part is not to stay for a day because one is down that long.
const maxRetry = time.Minute

// each makes the calls of part i, one for each value, all at once.
func (r *run) each(ctx context.Context, i int) {
	p, res := &r.Parts[i], &r.results[i]
	ids, failed := r.elements(i)
	if failed != nil {
		r.settle(p, res, failed, nil)
		return
	}
	found := make([]result, len(ids))
	if p.Gate != nil {
		p.Gate.Enter(len(ids))
	}
	var all sync.WaitGroup
	for k, id := range ids {
		all.Go(func() { r.element(ctx, i, id, &found[k]) })
	}
	all.Wait()
	res.value = append(make([]byte, 0, 64*len(ids)+2), '[')
	hits := 0
	for _, f := range found {
		if f.value != nil {
			if len(res.value) > 1 {
				res.value = append(res.value, ',')
			}
			res.value = append(res.value, f.value...)
		}
		res.answers = append(res.answers, f.answers...)
		if f.err != nil && (res.err == nil || f.retry < res.retry) {
			res.err, res.retry = f.err, f.retry
		}
		if isHit(f.status) {
			hits++
		}
	}
	res.value = append(res.value, ']')
	res.status = eachStatus(r.Name+"/"+p.Name, hits, len(ids))
}

// element makes the call for one value.
func (r *run) element(ctx context.Context, i int, id string, res *result) {
	p := &r.Parts[i]
	if p.Gate != nil {
		defer p.Gate.Leave(1)
	}
	req, failed := r.request(ctx, i, id)
	if failed == nil && p.Gate == nil {
		if failed = r.enter(ctx, p); failed == nil {
			defer func() { <-r.slots }()
		}
	}
	if failed == nil {
		var a *answer
		if a, failed = r.call(p, req); failed == nil {
			res.value, res.answers, res.status = a.value, []*answer{a}, a.status
			return
		}
	}
	r.settle(p, res, failed, req)
}

// elements are the values of a Foreach: each once, in the order in which they are met. null, and elements that have no such value, are left out.
func (r *run) elements(i int) ([]string, *Error) {
	p, from := &r.Parts[i], r.plans[i].foreach
	doc := r.results[from.part].value
	list, ok := from.path.Select(doc)
	if doc == nil || !ok || !rawjson.IsArray(list) {
		return nil, missing(p.Name, "there is no list of values for it", nil)
	}
	var ids []string
	seen := make(map[string]bool)
	for e := range rawjson.Elements(list) {
		id, ok := rawjson.Scalar(e)
		switch {
		case rawjson.IsNull(e), ok && seen[id]:
			continue
		case !ok:
			return nil, missing(p.Name, "one of its values is neither text nor a number", nil)
		case len(ids) == p.Limit:
			return nil, missing(p.Name, fmt.Sprintf("there are more than the %d values that are allowed", p.Limit), nil)
		}
		seen[id] = true
		ids = append(ids, id)
	}
	return ids, nil
}
