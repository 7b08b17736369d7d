package observe

import (
	"net/url"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// StepKind is what a step of an Event is.
type StepKind uint8

const (
	StepUpstream  StepKind = iota // a try of a call to an upstream
	StepRedis                     // a call to Redis
	StepLeaseWait                 // a wait for another instance's fill
	stepLink                      // no step: a further link
)

// maxSteps bounds the steps of an Event that are noted.
const maxSteps = 64

// step is what an Event notes of something that it waited for: a span in the end.
type step struct {
	kind   StepKind
	name   string // of the target, or of the operation
	id     trace.SpanID
	start  time.Time
	took   time.Duration
	url    *url.URL // of an upstream's
	status int
	resend int
	err    error
	link   trace.SpanContext
}

// Step notes that a step begins, and returns its number for EndStep; -1 where e is not traced, or has too many.
func (e *Event) Step(kind StepKind, name string) int {
	s := &e.spans
	if s.tracer == nil || len(s.steps) >= maxSteps || !s.sampled && s.tracer.rule.Load().Slow == 0 {
		return -1
	}
	s.steps = append(s.steps, step{kind: kind, name: name, id: newSpanID(), start: time.Now()})
	return len(s.steps) - 1
}

// EndStep notes the end of a step. err is what it failed with, nil for nothing.
func (e *Event) EndStep(n int, err error) {
	if n >= 0 {
		s := &e.spans.steps[n]
		s.took, s.err = time.Since(s.start), err
	}
}

// Ask notes what a try asks of an upstream, for the nth time, and returns the Traceparent that it is to be sent with; "" where e is not traced.
func (e *Event) Ask(n int, u func() *url.URL, resend int) string {
	if n >= 0 {
		e.spans.steps[n].url, e.spans.steps[n].resend = u(), resend
	}
	return e.traceparent(n)
}

// Answered notes that an upstream has answered with status.
func (e *Event) Answered(n, status int) {
	if n >= 0 {
		e.EndStep(n, nil)
		e.spans.steps[n].status = status
	}
}
