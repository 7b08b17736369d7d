package observe

import (
	"net/http"
	"slices"
)

// Filler is a Sink that is also told of fills: calls to an origin that fill the cache, and belong to no client's request. It must not keep what it is
// given. It is called on the goroutine of the fill, when that has ended.
type Filler interface {
	Fill(e *Event)
}

// tee tells several sinks.
type tee []Sink

// Tee returns a Sink that tells each of sinks, in their order. Those that are nil are left out.
func Tee(sinks ...Sink) Sink {
	return tee(slices.DeleteFunc(slices.Clone(sinks), func(s Sink) bool { return s == nil }))
}

// Finish tells all.
func (t tee) Finish(e *Event, r *http.Request) {
	for _, s := range t {
		s.Finish(e, r)
	}
}

// Hit tells all.
func (t tee) Hit(h *Hit) {
	for _, s := range t {
		s.Hit(h)
	}
}

// Fill tells those that want to know.
func (t tee) Fill(e *Event) {
	for _, s := range t {
		if f, ok := s.(Filler); ok {
			f.Fill(e)
		}
	}
}

// Tried tells those that want to know.
func (t tee) Tried(w *Write) {
	for _, s := range t {
		if to, ok := s.(WriteSink); ok {
			to.Tried(w)
		}
	}
}
