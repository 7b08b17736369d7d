package telemetry

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/observe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// environ returns an environment of the given names and values, in turn.
func environ(pairs ...string) environment {
	return func(name string) (string, bool) {
		for i := 0; i+1 < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func TestEnvironmentOverridesSampleRatio(t *testing.T) {
	for _, c := range []struct {
		sampler, arg string
		want         float64
	}{
		{"", "0.5", 0.01}, {"always_on", "", 1}, {"parentbased_always_off", "", 0}, {"traceidratio", "0.5", 0.5}, {"parentbased_traceidratio", "0.2", 0.2},
		{"traceidratio", "2", 1}, {"traceidratio", "", 1}, {"jaeger_remote", "", 0.01},
	} {
		if got := environ("OTEL_TRACES_SAMPLER", c.sampler, "OTEL_TRACES_SAMPLER_ARG", c.arg).sampleRatio(0.01); got != c.want {
			t.Errorf("%s %s: %v, want %v", c.sampler, c.arg, got, c.want)
		}
	}
}

func TestSignalURL(t *testing.T) {
	for endpoint, want := range map[string]string{
		"http://a:4318": "http://a:4318/v1/traces", "https://a/otlp/": "https://a/otlp/v1/traces", "grpc://a:4317": "http://a:4317 grpc", "grpcs://a:4317": "https://a:4317 grpc",
	} {
		got, grpc, err := signalURL(endpoint, "traces")
		if grpc {
			got += " grpc"
		}
		if err != nil || got != want {
			t.Errorf("%s: %s %v, want %s", endpoint, got, err, want)
		}
	}
}

func TestSpansGoToStandardOutput(t *testing.T) {
	var out bytes.Buffer
	cfg := config.Telemetry{ServiceName: "x", Traces: config.Traces{Exporter: config.TracesStdout, Sample: 1}}
	tel, err := New(cfg, Process{Env: environ(), Stdout: &out, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	_, e := tel.tracer.StartRoot(t.Context(), "write.flush")
	e.EndPart(nil)
	tel.Close()
	if !strings.Contains(out.String(), `"Name":"write.flush"`) {
		t.Errorf("%s", out.String())
	}
	if off, err := New(cfg, Process{Env: environ("OTEL_SDK_DISABLED", "true"), Stdout: &out, Log: slog.New(slog.DiscardHandler)}); err != nil || off.tracer != nil {
		t.Errorf("OTEL_SDK_DISABLED: %v %v", off, err)
	} else {
		off.Close()
	}
}

func TestReloadOfTelemetrySettings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	cfg := config.Telemetry{ServiceName: "x", AccessLog: config.AccessLog{Output: path, Format: config.AccessCommon, Sample: 1}}
	tel, err := New(cfg, Process{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer tel.Close()
	next := cfg
	next.AccessLog.Output = path + ".2"
	commit, _, err := tel.Prepare(next)
	if err != nil {
		t.Fatal(err)
	}
	commit()
	tel.access.Finish(&observe.Event{Method: "GET", Status: 200}, nil)
	tel.access.Flush()
	if text, err := os.ReadFile(path + ".2"); err != nil || len(text) == 0 {
		t.Errorf("%q %v", text, err)
	}
	bad := next
	bad.AccessLog.Output = filepath.Join(path, "below a file")
	if _, _, err := tel.Prepare(bad); err == nil {
		t.Error("a log file that cannot be opened was accepted")
	}
	for _, change := range []func(*config.Telemetry){
		func(t *config.Telemetry) { t.ServiceName = "y" }, func(t *config.Telemetry) { t.Traces.Exporter = config.TracesOTLP }, func(t *config.Telemetry) { t.Metrics.OTLP = true },
	} {
		other := next
		change(&other)
		if _, _, err := tel.Prepare(other); err == nil || !strings.Contains(err.Error(), "restart") {
			t.Errorf("%+v: %v", other, err)
		}
	}
}

// refusing is an exporter whose Shutdown fails.
type refusing struct{ *tracetest.InMemoryExporter }

func (refusing) Shutdown(context.Context) error { return errors.New("gone") }

func TestDroppedSpansAreCounted(t *testing.T) {
	taken := tracetest.NewInMemoryExporter()
	q := newSpanQueue(taken, environ("OTEL_BSP_MAX_QUEUE_SIZE", "4", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2"), slog.New(slog.DiscardHandler))
	s := tracetest.SpanStub{Name: "x"}.Snapshot()
	for range 3 {
		q.OnEnd(s)
	}
	if err := q.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	q.OnEnd(s)
	if q.sent.Load() != 3 || q.dropped.Load() != 1 {
		t.Errorf("%d sent, %d dropped", q.sent.Load(), q.dropped.Load())
	}
	if err := newSpanQueue(refusing{taken}, nil, slog.New(slog.DiscardHandler)).Shutdown(t.Context()); err == nil {
		t.Error("Shutdown hid the exporter's error")
	}
}
