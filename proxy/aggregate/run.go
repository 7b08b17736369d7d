package aggregate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/penstock/penstock/proxy/rawjson"
)

// run is the making of one answer.
type run struct {
	a       *Aggregate
	req     *http.Request
	results []result
	done    []chan struct{} // closed when the result is there
}

// RoundTrip makes the answer to req, a GET or a HEAD. It returns once all calls that it has made have ended.
func (a *Aggregate) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		return a.refuse(req), nil
	}
	ctx, cancel := context.WithTimeout(req.Context(), a.Timeout)
	defer cancel()
	r := &run{a: a, req: req, results: make([]result, len(a.Parts)), done: make([]chan struct{}, len(a.Parts))}
	for i := range r.done {
		r.done[i] = make(chan struct{})
	}
	var parts sync.WaitGroup
	for i := range a.Parts {
		parts.Go(func() {
			defer close(r.done[i])
			if err := r.await(i); err != nil {
				r.results[i] = r.stand(ctx, &a.Parts[i], nil, result{err: err})
			} else {
				r.results[i] = r.part(ctx, &a.Parts[i])
			}
			if r.fatal(i) {
				cancel() // the others are asked for in vain
			}
		})
	}
	parts.Wait()
	if err := req.Context().Err(); err != nil {
		return nil, fmt.Errorf("putting an answer together: %w", err)
	}
	return r.answer()
}

// await waits for what a part needs, and reports what of that has failed.
func (r *run) await(part int) error {
	for _, i := range r.a.needs[part] {
		<-r.done[i] // it ends: every call has a bound, and no part needs itself
		if r.results[i].value == nil {
			return fmt.Errorf("part %s, which it needs, is missing", r.a.Parts[i].Name)
		}
	}
	return nil
}

// fatal reports whether the whole fails because of a part.
func (r *run) fatal(i int) bool {
	p, res := &r.a.Parts[i], &r.results[i]
	return res.err != nil && !errors.Is(res.err, errStale) && (p.OnError == Fail || p.OnError == Stale && res.value == nil)
}

// value is the plain text that a reference stands for.
func (r *run) value(ref Ref, element []byte) (string, error) {
	switch {
	case ref.Query != "":
		return r.req.URL.Query().Get(ref.Query), nil
	case ref.Part:
		return scalar(ref.Path.Find(r.results[r.a.index[ref.Name]].value))
	case ref.Name == "":
		return scalar(element, true)
	}
	text, ok := r.a.Capture(r.req, ref.Name)
	if !ok {
		return "", errMissing
	}
	return text, nil
}

func scalar(value []byte, there bool) (string, error) {
	if !there {
		return "", errMissing
	}
	text, ok := rawjson.Scalar(value)
	switch {
	case ok:
		return text, nil
	case rawjson.Kind(value) == 'n':
		return "", errNull
	}
	return "", errors.New("a value that it needs is no single value")
}

// passed are the fields of the client's request that p gets. Each that p may get is there, also where the client has not sent it.
func (r *run) passed(p *Part) http.Header {
	h := make(http.Header, len(p.Fields)+1)
	for _, name := range p.Fields {
		if values := r.req.Header[name]; len(values) > 0 {
			h[name] = values
		}
	}
	return h
}
