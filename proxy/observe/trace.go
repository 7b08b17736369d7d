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
	Slow          time.Duration // a request that takes as long is recorded in any case; 0: none is
	LinkUntrusted bool          // a trace is linked to the parent that an untrusted peer names
}

// Tracer makes spans of finished Events. There are no spans while a request is under way: its Event has the IDs that its spans are going to have, which
// others are told of, and notes when its steps began and ended; from these facts the spans are made when it is over, if it is to be recorded at all.
// So a request that failed or was slow is recorded although the draw was against it, and nothing but its own Event is held for that. What it has called meanwhile
// was told the draw: of such a trace the spans of others are missing.
//
// A nil Tracer makes no spans.
type Tracer struct {
	tracer trace.Tracer
	rule   atomic.Pointer[traceRule]
}

type traceRule struct {
	TraceConfig
	threshold uint64 // of 63 random bits, those below are recorded
}

var (
	_ Sink    = (*Tracer)(nil)
	_ Filler  = (*Tracer)(nil)
	_ Sampler = (*Tracer)(nil)
)

// NewTracer returns a Tracer that makes its spans with t, whose provider must record all of them and take their IDs from IDs.
func NewTracer(t trace.Tracer, c TraceConfig) *Tracer {
	out := &Tracer{tracer: t}
	out.Configure(c)
	return out
}

// Configure puts c in force.
func (t *Tracer) Configure(c TraceConfig) {
	t.rule.Store(&traceRule{c, uint64(min(max(c.Sample, 0), 1) * (1 << 63))})
}

// Sample decides by the Traceparent of a trusted peer, or else by a draw. It allocates nothing.
func (t *Tracer) Sample(traceparent string) bool {
	if parent, ok := parseTraceparent(traceparent); ok {
		return parent.flags.IsSampled()
	}
	return t.draw()
}

func (t *Tracer) draw() bool { return rand.Uint64()&math.MaxInt64 < t.rule.Load().threshold }

// spans are the places of an Event's own span and of those around it.
type spans struct {
	tracer  *Tracer // nil: there are none
	trace   trace.TraceID
	self    trace.SpanID
	parent  trace.SpanID // zero: the span is a root
	remote  bool         // the parent is of another process
	sampled bool
	state   string // tracestate of the parent
	link    trace.SpanContext
	steps   []step
	part    string // name of a part; "": a request or a fill
	at      string // the route's path pattern
}

// Begin decides whether e, for which a route with the given path pattern was found, is traced. h is its request's header.
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
		delete(h, "Tracestate") // it belongs to a trace that this is none of
	}
	if !s.remote {
		s.trace, s.sampled = newTraceID(), e.Sampling == Recorded || e.Sampling == Undecided && t.draw()
	}
	e.Sampling = NotRecorded
	if s.sampled {
		e.Sampling = Recorded
	}
}

// Finish makes the spans of a request.
func (t *Tracer) Finish(e *Event, r *http.Request) {
	if e.spans.tracer != nil && t.keeps(e) {
		t.emit(e, "", trace.SpanKindServer, requestAttributes(e, r))
	}
}

// Hit makes the span of a hit that is traced, as Finish would of the Event of the same hit.
func (t *Tracer) Hit(h *Hit) {
	if t == nil || !h.Traced {
		return
	}
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(h.Head)))
	if err != nil {
		return // it was answered, so this does not happen
	}
	e := &Event{
		Start: h.Start, Took: h.Took, Route: h.Route, Method: h.Method, Status: h.Status, BytesIn: h.BytesIn, BytesOut: h.BytesOut, BytesSaved: h.BytesSaved,
		ClientIP: h.ClientIP, PeerTrusted: h.Trusted, Scheme: h.Scheme, Host: h.Host, Cache: CacheHit, Tier: "memory", KeyHash: fmt.Sprintf("%016x", h.Key),
		Age: h.Age, TTL: h.TTL, Coding: cmp.Or(h.Coding, "identity"), Sampling: Recorded,
	}
	t.Begin(e, r.Header, h.Pattern)
	t.emit(e, "", trace.SpanKindServer, requestAttributes(e, r))
}

// Fill makes the spans of a fill.
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

// StartPart begins a part of what ctx's Event is about: a span of its own below that Event's, under which what is done with the returned context falls.
// It is for what runs beside the request: the returned Event belongs to the part's goroutine. Without a trace it costs an Event. linked are spans of others that it has to
// do with, as Traceparent gives them.
func StartPart(ctx context.Context, name string, linked ...string) (context.Context, *Event) {
	of := FromContext(ctx)
	e := &Event{
		Start: time.Now(), Route: of.Route, Method: of.Method, Scheme: of.Scheme, Host: of.Host, ClientIP: of.ClientIP, Captured: of.Captured,
		PeerTrusted: of.PeerTrusted,
	}
	e.childOf(of)
	e.spans.part = name
	e.linkTo(linked)
	return NewContext(ctx, e), e
}

// StartRoot begins what no request waits for, such as a queued write: a trace of its own, linked to what it came from. It is recorded if the first of these was,
// or, where there is none, by a draw.
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

// EndPart ends what StartPart or StartRoot began.
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

// Traceparent names the span of ctx's Event, for links, in W3C's form; "": there is none.
func Traceparent(ctx context.Context) string { return FromContext(ctx).traceparent(-1) }

// childOf makes e's span a child of that of another Event, in the same trace.
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

// FillFor puts the span of a fill below that of the request that leads it.
func (e *Event) FillFor(of *Event) { e.childOf(of) }

// RefreshFor gives a refresh a trace of its own, linked to the request that began it, and recorded if that is.
func (e *Event) RefreshFor(of *Event) {
	e.childOf(of)
	if of.spans.tracer != nil {
		e.spans.trace, e.spans.parent, e.spans.state = newTraceID(), trace.SpanID{}, ""
		e.spans.link = of.SpanContext()
	}
}

// SpanContext is that of e's own span; invalid where there is none.
func (e *Event) SpanContext() trace.SpanContext {
	if e.spans.tracer == nil {
		return trace.SpanContext{}
	}
	return e.spans.context(e.spans.self, false)
}

// TraceID is under which a trace of e, which has ended, is recorded, in hexadecimal; "" where none is.
func (e *Event) TraceID() string {
	if t := e.spans.tracer; t == nil || !t.keeps(e) {
		return ""
	}
	return e.spans.trace.String()
}

// Follows links e's span to that of the fill which has answered it.
func (e *Event) Follows(fill trace.SpanContext) {
	if e.spans.tracer != nil && fill.IsValid() {
		e.spans.addLink(fill)
	}
}

// addLink adds a link; beyond maxSteps they are left out.
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

// context is the SpanContext of a span of this trace.
func (s *spans) context(id trace.SpanID, remote bool) trace.SpanContext {
	c := trace.SpanContextConfig{TraceID: s.trace, SpanID: id, Remote: remote}
	if s.sampled {
		c.TraceFlags = trace.FlagsSampled
	}
	if s.state != "" {
		c.TraceState, _ = trace.ParseTraceState(s.state) // one that can't be read is none (Trace Context §3.3.1)
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

// ids is how the IDs of a span reach the provider.
type ids struct {
	trace trace.TraceID
	span  trace.SpanID
}

type idsKey struct{}

// IDs gives spans the IDs that their Events have had from the start. It is the IDGenerator of a Tracer's provider.
type IDs struct{}

// NewIDs gives those of a root.
func (IDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if own, ok := ctx.Value(idsKey{}).(ids); ok {
		return own.trace, own.span
	}
	return newTraceID(), newSpanID()
}

// NewSpanID gives that of a child.
func (IDs) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	if own, ok := ctx.Value(idsKey{}).(ids); ok {
		return own.span
	}
	return newSpanID()
}
