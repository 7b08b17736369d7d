package observe

import (
	"net/url"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// StepKind is the kind of a step of an Event.
type StepKind uint8

const (
	StepUpstream  StepKind = iota // an attempt of a call to an upstream
	StepRedis                     // a call to Redis
	StepLeaseWait                 // a wait for another instance's fill
	stepLink                      // not a step but an additional link
)

// maxSteps bounds the recorded steps of an Event.
const maxSteps = 64

// step records an operation for which an Event waited. It becomes a span.
type step struct {
	kind   StepKind
	name   string // of the target or of the operation
	id     trace.SpanID
	start  time.Time
	took   time.Duration
	url    *url.URL // for an upstream
	status int
	resend int
	err    error
	link   trace.SpanContext
}

// Step records the beginning of a step and returns its number for EndStep. It returns -1 if e is
// not traced or has too many steps.
func (e *Event) Step(kind StepKind, name string) int {
	s := &e.spans
	if s.tracer == nil || len(s.steps) >= maxSteps || !s.sampled && s.tracer.rule.Load().Slow == 0 {
		return -1
	}
	s.steps = append(s.steps, step{kind: kind, name: name, id: newSpanID(), start: time.Now()})
	return len(s.steps) - 1
}

// EndStep records the end of a step. err is its error, or nil.
func (e *Event) EndStep(n int, err error) {
	if n >= 0 {
		s := &e.spans.steps[n]
		s.took, s.err = time.Since(s.start), err
	}
}

// Ask records the URL of an attempt and its number, and returns the Traceparent to send with it. It
// returns "" if e is not traced.
func (e *Event) Ask(n int, u func() *url.URL, resend int) string {
	if n >= 0 {
		e.spans.steps[n].url, e.spans.steps[n].resend = u(), resend
	}
	return e.traceparent(n)
}

// Answered records the status of an upstream's answer.
func (e *Event) Answered(n, status int) {
	if n >= 0 {
		e.EndStep(n, nil)
		e.spans.steps[n].status = status
	}
}
