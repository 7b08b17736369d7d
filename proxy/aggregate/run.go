package aggregate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/penstock/penstock/proxy/rawjson"
)

// run is the construction of one response.
type run struct {
	a       *Aggregate
	req     *http.Request
	results []result
	done    []chan struct{} // closed when the result is set
}

// RoundTrip constructs the response to req, a GET or a HEAD. It returns after all its calls have
// ended.
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
				cancel() // the whole fails, so the other parts are not needed
			}
		})
	}
	parts.Wait()
	if err := req.Context().Err(); err != nil {
		return nil, fmt.Errorf("combining the parts of a response: %w", err)
	}
	return r.answer(req.Context())
}

// await waits for the parts that a part depends on. It returns an error if one of them has failed.
func (r *run) await(part int) error {
	for _, i := range r.a.needs[part] {
		<-r.done[i] // this ends: every call has a time limit, and the dependencies have no cycle
		if r.results[i].value == nil {
			return fmt.Errorf("it depends on part %s, which is missing", r.a.Parts[i].Name)
		}
	}
	return nil
}

// fatal reports whether part i makes the whole fail.
func (r *run) fatal(i int) bool {
	p, res := &r.a.Parts[i], &r.results[i]
	return res.err != nil && !errors.Is(res.err, errStale) && (p.OnError == Fail || p.OnError == Stale && res.value == nil)
}

// value returns the plain text for a reference.
func (r *run) value(ref Ref, element []byte) (string, error) {
	switch {
	case ref.Query != "":
		return r.req.URL.Query().Get(ref.Query), nil
	case ref.Part:
		value := r.results[r.a.index[ref.Name]].value
		found, ok := ref.Path.Find(value)
		switch {
		case !ok && ref.Path.Lacks(value):
			return "", errNull
		case !ok:
			return "", &contentError{"of part " + ref.Name + " " + ref.Path.Why(value)}
		}
		return scalar(found, true)
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
	return "", errors.New("a value that it needs is not a string, number or boolean")
}

// passed returns the fields of the client's request that p is allowed to see and that the client
// sent.
func (r *run) passed(p *Part) http.Header {
	h := make(http.Header, len(p.Fields)+1)
	for _, name := range p.Fields {
		if values := r.req.Header[name]; len(values) > 0 {
			h[name] = values
		}
	}
	return h
}
