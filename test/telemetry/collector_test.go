package telemetry

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/penstock/penstock/test/load/program"
)

// binary is the built gateway.
var binary *program.Binary

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "telemetry")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "penstock")
	// In its own module, so that it is built of its own versions.
	if out, err := exec.Command("go", "build", "-C", "../..", "-o", path, "./cmd/penstock").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the gateway: %v\n%s", err, out)
		return 1
	}
	binary = program.At(path)
	return m.Run()
}

// collector is the OTLP receiver of the OpenTelemetry Collector.
type collector struct {
	t          *testing.T
	http, grpc string // addresses
	traces     consumertest.TracesSink
	metrics    consumertest.MetricsSink
}

// startCollector starts a receiver, which ends with the test.
func startCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{t: t, http: freeAddress(t), grpc: freeAddress(t)}
	factory := otlpreceiver.NewFactory()
	cfg := factory.CreateDefaultConfig()
	conf := confmap.NewFromStringMap(map[string]any{"protocols": map[string]any{
		"http": map[string]any{"endpoint": c.http}, "grpc": map[string]any{"endpoint": c.grpc},
	}})
	if err := conf.Unmarshal(cfg); err != nil {
		t.Fatal(err)
	}
	settings := receivertest.NewNopSettings(factory.Type())
	traces, err := factory.CreateTraces(t.Context(), settings, cfg, &c.traces)
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := factory.CreateMetrics(t.Context(), settings, cfg, &c.metrics)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []receiver.Metrics{traces, metrics} {
		if err := r.Start(t.Context(), componenttest.NewNopHost()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Shutdown(context.Background()) })
	}
	return c
}

func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// span is a span as it was received.
type span struct {
	ptrace.Span
	service string
}

// spans are all that have come.
func (c *collector) spans() []span {
	var out []span
	for _, batch := range c.traces.AllTraces() {
		for _, of := range batch.ResourceSpans().All() {
			service, _ := of.Resource().Attributes().Get("service.name")
			for _, scope := range of.ScopeSpans().All() {
				for _, s := range scope.Spans().All() {
					out = append(out, span{s, service.Str()})
				}
			}
		}
	}
	return out
}

// await waits until ok holds of the spans that have come, and returns them.
func (c *collector) await(what string, ok func([]span) bool) []span {
	c.t.Helper()
	for end := time.Now().Add(program.Patience); ; time.Sleep(20 * time.Millisecond) {
		spans := c.spans()
		if ok(spans) {
			return spans
		}
		if time.Now().After(end) {
			for _, s := range spans {
				c.t.Logf("%s %s parent %s %v", s.Name(), s.Kind(), s.ParentSpanID(), s.Attributes().AsRaw())
			}
			c.t.Fatalf("%s did not come", what)
		}
	}
}

// atLeast is the condition that n spans have come.
func atLeast(n int) func([]span) bool {
	return func(s []span) bool { return len(s) >= n }
}

// with selects the spans that have the attribute, of the given kinds if there are any.
func with(spans []span, name string, value any, kinds ...ptrace.SpanKind) []span {
	return slices.DeleteFunc(slices.Clone(spans), func(s span) bool {
		return s.attribute(name) != value || len(kinds) > 0 && !slices.Contains(kinds, s.Kind())
	})
}

// named selects the spans of a name and kind that have the given attributes.
func named(spans []span, name string, kind ptrace.SpanKind, having ...string) []span {
	return slices.DeleteFunc(slices.Clone(spans), func(s span) bool {
		return s.Name() != name || s.Kind() != kind || slices.ContainsFunc(having, func(a string) bool { return s.attribute(a) == nil })
	})
}

// below selects the children of p.
func below(spans []span, p span) []span {
	return slices.DeleteFunc(slices.Clone(spans), func(s span) bool { return s.ParentSpanID() != p.SpanID() || s.TraceID() != p.TraceID() })
}

func (s span) attribute(name string) any {
	v, ok := s.Attributes().Get(name)
	if !ok {
		return nil
	}
	return v.AsRaw()
}

// one is the only span of those selected.
func one(t *testing.T, what string, spans []span) span {
	t.Helper()
	if len(spans) != 1 {
		names := make([]string, len(spans))
		for i, s := range spans {
			names[i] = fmt.Sprint(s.Name(), " ", s.Attributes().AsRaw())
		}
		t.Fatalf("%s: %d spans, want one: %q", what, len(spans), names)
	}
	return spans[0]
}

// wantAttributes compares attributes; nil wants it absent.
func wantAttributes(t *testing.T, s span, want map[string]any) {
	t.Helper()
	for name, value := range want {
		if got := s.attribute(name); got != value {
			t.Errorf("span %s: %s is %v (%T), want %v (%T)", s.Name(), name, got, got, value, value)
		}
	}
}

// linksTo reports whether s is linked to the span of the given IDs.
func (s span) linksTo(trace pcommon.TraceID, id pcommon.SpanID) bool {
	for _, l := range s.Links().All() {
		if l.TraceID() == trace && l.SpanID() == id {
			return true
		}
	}
	return false
}
