package observe

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// TraceConfig says which requests are traced.
type TraceConfig struct {
	Sample        float64       // share of new traces that are recorded
	Slow          time.Duration // a request that takes at least this long is always recorded; 0 turns this off
	LinkUntrusted bool          // link a trace to the parent that an untrusted peer names
}

// Tracer creates the spans of finished Events. While a request runs, no spans exist. Its Event
// already has the IDs of its spans, which it passes on to other services, and records the start and
// the end of its steps. When the request is over, Tracer creates the spans from these facts if the
// request must be recorded. So it can record a request that failed or was slow although the random
// draw was against it, and it only has to keep the request's own Event for that. Services that the
// request called have seen the draw, so such a trace lacks their spans.
//
// A nil Tracer creates no spans.
type Tracer struct {
	tracer trace.Tracer
	rule   atomic.Pointer[traceRule]
}

type traceRule struct {
	TraceConfig
	threshold uint64 // of 63 random bits; a smaller number is recorded
}

var (
	_ Sink    = (*Tracer)(nil)
	_ Filler  = (*Tracer)(nil)
	_ Sampler = (*Tracer)(nil)
)

// NewTracer returns a Tracer that creates its spans with t. The provider of t must record all spans
// and use IDs as its ID generator.
func NewTracer(t trace.Tracer, c TraceConfig) *Tracer {
	out := &Tracer{tracer: t}
	out.Configure(c)
	return out
}

// Configure puts c into force.
func (t *Tracer) Configure(c TraceConfig) {
	t.rule.Store(&traceRule{c, uint64(min(max(c.Sample, 0), 1) * (1 << 63))})
}

// Sample decides by the Traceparent of a trusted peer, or else by a random draw. It allocates
// nothing.
func (t *Tracer) Sample(traceparent string) bool {
	if parent, ok := parseTraceparent(traceparent); ok {
		return parent.flags.IsSampled()
	}
	return t.draw()
}

func (t *Tracer) draw() bool { return rand.Uint64()&math.MaxInt64 < t.rule.Load().threshold }

// spans holds the IDs of an Event's own span and of the related spans.
type spans struct {
	tracer  *Tracer // nil: there are no spans
	trace   trace.TraceID
	self    trace.SpanID
	parent  trace.SpanID // zero: the span is a root
	remote  bool         // the parent belongs to another process
	sampled bool
	state   string // tracestate of the parent
	link    trace.SpanContext
	steps   []step
	part    string // name of a part; "": a request or a fill
	at      string // the route's path pattern
}

// Begin decides whether e is traced, and sets its span IDs. pattern is the path pattern of its
// route, and h is its request's header.
func (t *Tracer) Begin(e *Event, h http.Header, pattern string) {
	if t == nil {
		return
	}
	s := &e.spans
	s.tracer, s.self, s.at = t, newSpanID(), pattern
	parent, ok := traceparentOf(h)
	switch {
	case !ok:
	case e.PeerTrusted:
		s.trace, s.parent, s.remote, s.sampled = parent.trace, parent.span, true, parent.flags.IsSampled()
		if state := h["Tracestate"]; len(state) == 1 {
			s.state = state[0]
		}
	case t.rule.Load().LinkUntrusted:
		s.link = parent.context(true)
	}
	if !e.PeerTrusted {
		delete(h, "Tracestate") // it belongs to a trace that this request does not continue
	}
	if !s.remote {
		s.trace, s.sampled = newTraceID(), e.Sampling == Recorded || e.Sampling == Undecided && t.draw()
	}
	e.Sampling = NotRecorded
	if s.sampled {
		e.Sampling = Recorded
	}
}

// Finish creates the spans of a request.
func (t *Tracer) Finish(e *Event, r *http.Request) {
	if e.spans.tracer != nil && t.keeps(e) {
		t.emit(e, "", trace.SpanKindServer, requestAttributes(e, r))
	}
}

// Hit creates the span of a traced hit, equal to the span that Finish would create for an Event of
// the same hit.
func (t *Tracer) Hit(h *Hit) {
	if t == nil || !h.Traced {
		return
	}
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(h.Head)))
	if err != nil {
		return // can't happen, because the request was answered
	}
	e := &Event{
		Start: h.Start, Took: h.Took, Route: h.Route, Method: h.Method, Status: h.Status, BytesIn: h.BytesIn, BytesOut: h.BytesOut, BytesSaved: h.BytesSaved,
		ClientIP: h.ClientIP, PeerTrusted: h.Trusted, Scheme: h.Scheme, Host: h.Host, Cache: CacheHit, Tier: "memory", KeyHash: fmt.Sprintf("%016x", h.Key),
		Age: h.Age, TTL: h.TTL, Coding: cmp.Or(h.Coding, "identity"), Sampling: Recorded,
	}
	t.Begin(e, r.Header, h.Pattern)
	t.emit(e, "", trace.SpanKindServer, requestAttributes(e, r))
}

// Fill creates the spans of a fill.
func (t *Tracer) Fill(e *Event) {
	if e.spans.tracer == nil || !t.keeps(e) {
		return
	}
	name := "cache.fill"
	switch {
	case e.spans.part != "":
		name = e.spans.part
	case e.Background:
		name = "cache.refresh"
	}
	t.emit(e, name, trace.SpanKindInternal, fillAttributes(e))
}

// keeps reports whether e is recorded.
func (t *Tracer) keeps(e *Event) bool {
	slow := t.rule.Load().Slow
	return e.spans.sampled || e.Err != nil || e.Status >= 500 || slow > 0 && e.Took >= slow
}

// StartPart begins a part of the work for ctx's Event: its own span below that Event's span. Steps
// with the returned context belong to the part. Use it for work that runs beside the request: the
// returned Event belongs to the part's goroutine. If the request is not traced, it costs only an
// Event. linked holds the Traceparent values of related spans.
func StartPart(ctx context.Context, name string, linked ...string) (context.Context, *Event) {
	of := FromContext(ctx)
	e := &Event{
		Start: time.Now(), Route: of.Route, Method: of.Method, Scheme: of.Scheme, Host: of.Host, Path: of.Path, ClientIP: of.ClientIP, Captured: of.Captured,
		PeerTrusted: of.PeerTrusted,
	}
	e.childOf(of)
	e.spans.part = name
	e.linkTo(linked)
	return NewContext(ctx, e), e
}

// StartRoot begins work for which no request waits, such as a queued write. It gets its own trace,
// linked to its causes. The trace is recorded if the first cause was recorded, or by a random draw
// if there is no cause.
func (t *Tracer) StartRoot(ctx context.Context, name string, linked ...string) (context.Context, *Event) {
	e := &Event{Start: time.Now(), Background: true}
	if t != nil {
		e.spans = spans{tracer: t, trace: newTraceID(), self: newSpanID(), part: name}
		e.linkTo(linked)
		if e.spans.link.IsValid() {
			e.spans.sampled = e.spans.link.IsSampled()
		} else {
			e.spans.sampled = t.draw()
		}
	}
	return NewContext(ctx, e), e
}

// EndPart ends the part that StartPart or StartRoot began.
func (e *Event) EndPart(err error) {
	t := e.spans.tracer
	if t == nil {
		return
	}
	e.Took = time.Since(e.Start)
	if err != nil {
		e.Err = err
	}
	if t.keeps(e) {
		t.emit(e, e.spans.part, trace.SpanKindInternal, partAttributes(e))
	}
}

// Traceparent returns the W3C name of the span of ctx's Event, for links. It returns "" if there is
// no span.
func Traceparent(ctx context.Context) string { return FromContext(ctx).traceparent(-1) }

// childOf makes e's span a child of another Event's span in the same trace.
func (e *Event) childOf(of *Event) {
	if of.spans.tracer == nil {
		return
	}
	e.Sampling = of.Sampling
	e.spans = spans{
		tracer: of.spans.tracer, trace: of.spans.trace, self: newSpanID(), parent: of.spans.self, sampled: of.spans.sampled, at: of.spans.at,
		state: of.spans.state,
	}
}

// FillFor puts the span of a fill below the span of the request that leads it.
func (e *Event) FillFor(of *Event) { e.childOf(of) }

// RefreshFor gives a refresh its own trace, linked to the request that caused it. It is recorded if
// that request is.
func (e *Event) RefreshFor(of *Event) {
	e.childOf(of)
	if of.spans.tracer != nil {
		e.spans.trace, e.spans.parent, e.spans.state = newTraceID(), trace.SpanID{}, ""
		e.spans.link = of.SpanContext()
	}
}

// SpanContext returns the context of e's own span. It is invalid if there is no span.
func (e *Event) SpanContext() trace.SpanContext {
	if e.spans.tracer == nil {
		return trace.SpanContext{}
	}
	return e.spans.context(e.spans.self, false)
}

// TraceID returns the hexadecimal ID of the recorded trace of e, which must have ended. It returns
// "" if no trace is recorded.
func (e *Event) TraceID() string {
	if t := e.spans.tracer; t == nil || !t.keeps(e) {
		return ""
	}
	return e.spans.trace.String()
}

// Follows links e's span to the span of the fill that answered it.
func (e *Event) Follows(fill trace.SpanContext) {
	if e.spans.tracer != nil && fill.IsValid() {
		e.spans.addLink(fill)
	}
}

// addLink adds a link. It drops links beyond maxSteps.
func (s *spans) addLink(to trace.SpanContext) {
	if !s.link.IsValid() {
		s.link = to
	} else if len(s.steps) < maxSteps {
		s.steps = append(s.steps, step{kind: stepLink, link: to})
	}
}

func (e *Event) linkTo(linked []string) {
	if e.spans.tracer == nil {
		return
	}
	for _, text := range linked {
		if p, ok := parseTraceparent(text); ok {
			e.spans.addLink(p.context(false))
		}
	}
}

// context returns the SpanContext of a span of this trace.
func (s *spans) context(id trace.SpanID, remote bool) trace.SpanContext {
	c := trace.SpanContextConfig{TraceID: s.trace, SpanID: id, Remote: remote}
	if s.sampled {
		c.TraceFlags = trace.FlagsSampled
	}
	if s.state != "" {
		c.TraceState, _ = trace.ParseTraceState(s.state) // an invalid tracestate is discarded (Trace Context §3.3.1)
	}
	return trace.NewSpanContext(c)
}

func newSpanID() (id trace.SpanID) {
	for !id.IsValid() {
		binary.LittleEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}

func newTraceID() (id trace.TraceID) {
	for !id.IsValid() {
		binary.LittleEndian.PutUint64(id[:], rand.Uint64())
		binary.LittleEndian.PutUint64(id[8:], rand.Uint64())
	}
	return id
}

// ids carries the IDs of a span to the provider.
type ids struct {
	trace trace.TraceID
	span  trace.SpanID
}

type idsKey struct{}

// IDs is the ID generator of a Tracer's provider. It gives spans the IDs that their Events have had
// from the start.
type IDs struct{}

// NewIDs returns the IDs of a root span.
func (IDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if own, ok := ctx.Value(idsKey{}).(ids); ok {
		return own.trace, own.span
	}
	return newTraceID(), newSpanID()
}

// NewSpanID returns the ID of a child span.
func (IDs) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	if own, ok := ctx.Value(idsKey{}).(ids); ok {
		return own.span
	}
	return newSpanID()
}
