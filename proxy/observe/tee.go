package observe

import (
	"net/http"
	"slices"
)

// Filler is a Sink that also receives fills: calls to an origin that fill the cache, which belong
// to no client's request. It must not keep its argument. It is called on the fill's goroutine when
// the fill has ended.
type Filler interface {
	Fill(e *Event)
}

// tee passes everything on to several sinks.
type tee []Sink

// Tee returns a Sink that passes everything on to each of sinks in order. It skips nil sinks.
func Tee(sinks ...Sink) Sink {
	return tee(slices.DeleteFunc(slices.Clone(sinks), func(s Sink) bool { return s == nil }))
}

// Finish calls Finish of all sinks.
func (t tee) Finish(e *Event, r *http.Request) {
	for _, s := range t {
		s.Finish(e, r)
	}
}

// Hit calls Hit of all sinks.
func (t tee) Hit(h *Hit) {
	for _, s := range t {
		s.Hit(h)
	}
}

// Fill calls Fill of the sinks that are a Filler.
func (t tee) Fill(e *Event) {
	for _, s := range t {
		if f, ok := s.(Filler); ok {
			f.Fill(e)
		}
	}
}

// Tried calls Tried of the sinks that are a WriteSink.
func (t tee) Tried(w *Write) {
	for _, s := range t {
		if to, ok := s.(WriteSink); ok {
			to.Tried(w)
		}
	}
}
