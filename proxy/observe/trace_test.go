package observe

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"
	"pgregory.net/rapid"
)

const aParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func newTestTracer(c TraceConfig) *Tracer {
	return NewTracer(noop.NewTracerProvider().Tracer(""), c)
}

// TestTraceparent is the table for W3C Trace Context §3.2.2.
func TestTraceparent(t *testing.T) {
	for text, want := range map[string]bool{
		aParent: true, strings.TrimSuffix(aParent, "1") + "0": true, aParent[:53] + "ff": true,
		"01" + aParent[2:]: true, "01" + aParent[2:] + "-more": true, "cc" + aParent[2:] + "-": true,
		"": false, aParent[:54]: false, aParent + "-more": false, aParent + "0": false, "01" + aParent[2:] + "more": false, "ff" + aParent[2:]: false,
		strings.ToUpper(aParent): false, strings.ReplaceAll(aParent, "-", "_"): false, "0g" + aParent[2:]: false, aParent[:53] + "0x": false,
		"00-" + strings.Repeat("0", 32) + aParent[35:]:            false,
		aParent[:36] + strings.Repeat("0", 16) + aParent[52:]:     false,
		"00-" + strings.Repeat("g", 32) + aParent[35:]:            false,
		aParent[:36] + strings.Repeat("\u00e9", 8) + aParent[52:]: false,
	} {
		if _, ok := parseTraceparent(text); ok != want {
			t.Errorf("%q is read: %v, want %v", text, ok, want)
		}
	}
}

func FuzzTraceparent(f *testing.F) {
	f.Add(aParent)
	f.Add("01" + aParent[2:] + "-x")
	f.Fuzz(func(t *testing.T, s string) {
		p, ok := parseTraceparent(s)
		if !ok {
			return
		}
		if got := p.trace.String() + "-" + p.span.String(); got != s[3:52] || !p.context(true).IsValid() {
			t.Errorf("%q is read as %s", s, got)
		}
	})
}

func TestTraceparentRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := &Event{PeerTrusted: true}
		sampled := rapid.Bool().Draw(t, "sampled")
		parent := aParent
		if !sampled {
			parent = aParent[:54] + "0"
		}
		newTestTracer(TraceConfig{Sample: rapid.Float64Range(0, 1).Draw(t, "sample")}).Begin(e, http.Header{"Traceparent": {parent}}, "/*")
		own, ok := parseTraceparent(e.traceparent(-1))
		if !ok || own.trace.String() != aParent[3:35] || own.span.String() == aParent[36:52] || own.flags.IsSampled() != sampled || (e.Sampling == Recorded) != sampled {
			t.Fatalf("%s after %s", e.traceparent(-1), parent)
		}
	})
}

func TestUntrustedParentIsLinked(t *testing.T) {
	for _, link := range []bool{true, false} {
		e, h := new(Event), http.Header{"Traceparent": {aParent}, "Tracestate": {"a=b"}}
		newTestTracer(TraceConfig{LinkUntrusted: link}).Begin(e, h, "/*")
		if e.Sampling != NotRecorded || e.spans.trace.String() == aParent[3:35] || e.spans.link.IsValid() != link || len(h["Tracestate"]) != 0 {
			t.Errorf("link %v: %+v %v", link, e.spans, h)
		}
	}
	e := &Event{PeerTrusted: true}
	newTestTracer(TraceConfig{}).Begin(e, http.Header{"Traceparent": {aParent, aParent}}, "/*")
	if e.spans.remote {
		t.Error("of two parents one was followed")
	}
}

func TestEarlierSamplingDecisionHolds(t *testing.T) {
	for sampling, sample := range map[Sampling]float64{Recorded: 0, NotRecorded: 1} {
		e := &Event{Sampling: sampling}
		newTestTracer(TraceConfig{Sample: sample}).Begin(e, nil, "/*")
		if e.Sampling != sampling {
			t.Errorf("%v became %v", sampling, e.Sampling)
		}
	}
}

func TestSampleShare(t *testing.T) {
	tracer := newTestTracer(TraceConfig{Sample: 0.25})
	n := 0
	for range 20_000 {
		if tracer.Sample("") {
			n++
		}
	}
	if n < 4000 || n > 6000 {
		t.Errorf("a quarter of 20000 are %d", n)
	}
	if !tracer.Sample(aParent) || tracer.Sample(aParent[:54]+"0") {
		t.Error("the parent's decision is not followed")
	}
	for sample, want := range map[float64]bool{0: false, 1: true, -1: false, 2: true} {
		if tracer.Configure(TraceConfig{Sample: sample}); tracer.Sample("") != want {
			t.Errorf("with a share of %v a request is recorded: %v", sample, !want)
		}
	}
}

func TestWhichTracesAreRecorded(t *testing.T) {
	tracer := newTestTracer(TraceConfig{Slow: time.Second})
	for name, c := range map[string]struct {
		e    Event
		want bool
	}{
		"drawn": {Event{spans: spans{sampled: true}}, true}, "slow": {Event{Took: time.Second}, true}, "failed": {Event{Err: errors.New("x")}, true},
		"5xx": {Event{Status: 503}, true}, "4xx": {Event{Status: 404}, false}, "fine": {Event{Status: 200, Took: time.Millisecond}, false},
	} {
		if got := tracer.keeps(&c.e); got != c.want {
			t.Errorf("%s: kept %v", name, got)
		}
	}
}

func TestUntracedRequestsAllocateNothing(t *testing.T) {
	tracer := newTestTracer(TraceConfig{LinkUntrusted: true})
	h := http.Header{}
	e := &Event{Method: "GET", Status: 200, Took: time.Millisecond}
	if n := testing.AllocsPerRun(100, func() {
		e.spans, e.Sampling = spans{}, Undecided
		tracer.Begin(e, h, "/*")
		e.EndStep(e.Step(StepRedis, "GET"), nil)
		tracer.Finish(e, nil)
	}); n != 0 {
		t.Errorf("a request that is not traced takes %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { tracer.Sample(aParent); tracer.Sample("") }); n != 0 {
		t.Errorf("a decision takes %v allocations", n)
	}
	var none *Tracer
	none.Begin(e, h, "/*")
	if ctx, part := none.StartRoot(t.Context(), "write"); Traceparent(ctx) != "" {
		t.Errorf("a part without a tracer has a span: %+v", part)
	} else {
		part.EndPart(nil)
	}
}

func TestPartsShareATrace(t *testing.T) {
	tracer := newTestTracer(TraceConfig{Sample: 1})
	e := new(Event)
	tracer.Begin(e, nil, "/*")
	ctx, part := StartPart(NewContext(t.Context(), e), "part user", aParent)
	if part.spans.trace != e.spans.trace || part.spans.parent != e.spans.self || part.spans.link.SpanID().String() != aParent[36:52] {
		t.Errorf("%+v below %+v", part.spans, e.spans)
	}
	if p, ok := parseTraceparent(Traceparent(ctx)); !ok || p.span != part.spans.self {
		t.Errorf("%s", Traceparent(ctx))
	}
	part.EndPart(nil)
	_, root := tracer.StartRoot(t.Context(), "write.flush", Traceparent(ctx), aParent)
	if root.spans.trace == e.spans.trace || root.spans.parent.IsValid() || len(root.spans.links()) != 2 || !root.spans.sampled {
		t.Errorf("%+v", root.spans)
	}
	root.EndPart(errors.New("refused"))
	for range 3 * maxSteps {
		e.EndStep(e.Step(StepRedis, "GET"), nil)
		e.Follows(root.SpanContext())
	}
	if len(e.spans.steps) > maxSteps {
		t.Errorf("%d steps are held", len(e.spans.steps))
	}
	if sc := new(Event).SpanContext(); sc.IsValid() {
		t.Error("an event without a trace has a span")
	}
}

func BenchmarkSample(b *testing.B) {
	tracer := newTestTracer(TraceConfig{Sample: 0.01})
	b.ReportAllocs()
	for b.Loop() {
		tracer.Sample("")
	}
}

// BenchmarkHitWithEverything measures a hit of a connection with metrics, a sample of traces, and
// the given share of the access log.
func BenchmarkHitWithEverything(b *testing.B) {
	for name, share := range map[string]float64{"log off": -1, "log 1%": 0.01, "log all": 1} {
		b.Run(name, func(b *testing.B) {
			m, tracer, log := NewMeter(), newTestTracer(TraceConfig{Sample: 0.01}), NewAccessLog(nil)
			defer log.Close(b.Context())
			m.Declare("catalogue")
			if share >= 0 {
				put(b, log, AccessConfig{"/dev/null", FormatJSON, share})
			}
			sink := Tee(m, new(Fills), tracer, log)
			h := aHit("GET /catalogue/1 HTTP/1.1\r\nHost: a.example\r\nUser-Agent: wrk\r\n\r\n")
			h.Route = "catalogue"
			b.ReportAllocs()
			for b.Loop() {
				tracer.Sample("")
				sink.Hit(h)
			}
		})
	}
}
