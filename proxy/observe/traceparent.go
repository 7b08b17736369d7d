package observe

import (
	"net/http"

	"go.opentelemetry.io/otel/trace"
)

// parentSpan is the content of a Traceparent field (W3C Trace Context §3.2).
type parentSpan struct {
	trace trace.TraceID
	span  trace.SpanID
	flags trace.TraceFlags
}

func (p parentSpan) context(remote bool) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: p.trace, SpanID: p.span, TraceFlags: p.flags & trace.FlagsSampled, Remote: remote})
}

// traceparentOf reads the Traceparent of h. If there are several lines, none counts.
func traceparentOf(h http.Header) (parentSpan, bool) {
	lines := h["Traceparent"]
	if len(lines) != 1 {
		return parentSpan{}, false
	}
	return parseTraceparent(lines[0])
}

// The positions in a Traceparent: version-traceid-spanid-flags.
const (
	traceAt, spanAt, flagsAt, traceparentLen = 3, 36, 53, 55
)

// parseTraceparent reads a Traceparent. A later version may have further text after the known
// fields. It allocates nothing.
func parseTraceparent(s string) (p parentSpan, ok bool) {
	var version, flags [1]byte
	if len(s) < traceparentLen || s[traceAt-1] != '-' || s[spanAt-1] != '-' || s[flagsAt-1] != '-' ||
		!unhex(version[:], s) || version[0] == 0xff || version[0] == 0 && len(s) != traceparentLen || len(s) > traceparentLen && s[traceparentLen] != '-' {
		return p, false
	}
	ok = unhex(p.trace[:], s[traceAt:]) && unhex(p.span[:], s[spanAt:]) && unhex(flags[:], s[flagsAt:]) && p.trace.IsValid() && p.span.IsValid()
	p.flags = trace.TraceFlags(flags[0])
	return p, ok
}

// unhex reads lower-case hexadecimal digits, the only ones that are allowed.
func unhex(dst []byte, s string) bool {
	for i := range dst {
		high, low := digit(s[2*i]), digit(s[2*i+1])
		if high > 15 || low > 15 {
			return false
		}
		dst[i] = high<<4 | low
	}
	return true
}

func digit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

// traceparent returns the name of the span of e's step, or of e's own span if step is -1. It
// returns "" if there is no span.
func (e *Event) traceparent(step int) string {
	s := &e.spans
	if s.tracer == nil {
		return ""
	}
	id := s.self
	if step >= 0 {
		id = s.steps[step].id
	}
	var b [traceparentLen]byte
	out := append(b[:0], "00-"...)
	out = append(appendHex(out, s.trace[:]), '-')
	out = append(appendHex(out, id[:]), "-00"...)
	if s.sampled {
		out[len(out)-1] = '1'
	}
	return string(out)
}

func appendHex(b, id []byte) []byte {
	for _, c := range id {
		b = append(b, hexDigits[c>>4], hexDigits[c&15])
	}
	return b
}
