package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/observe"
)

// flushTime bounds how long a stopping gateway waits for a collector and for the access log's
// output.
const flushTime = 5 * time.Second

// Process describes the process whose telemetry is sent.
type Process struct {
	Env     func(name string) (value string, ok bool) // reads OTEL_* variables; nil if there are none
	Version string                                    // of Penstock, for OpenTelemetry's resource
	Stdout  io.Writer                                 // gets the spans if traces.exporter is stdout
	Log     *slog.Logger                              // gets the errors of sending
}

// Gateway is what Push needs of the gateway.
type Gateway interface {
	AddMetrics(source observe.Source)
	Metrics() []observe.Family
}

// Telemetry sends the spans, the pushed metrics and the access log of one process.
type Telemetry struct {
	env     environment
	version string
	log     *slog.Logger

	access  *observe.AccessLog
	tracer  *observe.Tracer // nil if tracing is off
	spans   *spanQueue      // nil if tracer is nil
	metrics *metric.MeterProvider
	inForce config.Telemetry
}

// New sets up tracing and the access log as configured. Push starts the metrics.
func New(cfg config.Telemetry, p Process) (*Telemetry, error) {
	t := &Telemetry{env: p.Env, version: p.Version, log: p.Log, inForce: cfg}
	if err := t.startTracing(p.Stdout); err != nil {
		return nil, err
	}
	t.access = observe.NewAccessLog(func(err error) { t.log.Error("the access log cannot be written", "error", err) })
	commit, _, err := t.access.Prepare(accessConfig(cfg.AccessLog))
	if err != nil {
		t.Close()
		return nil, err
	}
	commit()
	return t, nil
}

// startTracing makes the tracer and its queue of spans, unless tracing is off.
func (t *Telemetry) startTracing(stdout io.Writer) error {
	exporter, err := newSpanExporter(t.inForce.Traces, t.env, stdout)
	if err != nil {
		return fmt.Errorf("telemetry.traces: %w", err)
	}
	if exporter == nil {
		return nil
	}
	res, err := newResource(t.inForce.ServiceName, t.version)
	if err != nil {
		return errors.Join(err, exporter.Shutdown(context.Background()))
	}
	t.spans = newSpanQueue(exporter, t.env, t.log)
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithResource(res), sdktrace.WithSpanProcessor(t.spans), sdktrace.WithIDGenerator(observe.IDs{}), sdktrace.WithSampler(sdktrace.AlwaysSample()),
	)
	t.tracer = observe.NewTracer(provider.Tracer("github.com/penstock/penstock"), traceConfig(t.inForce.Traces, t.env))
	return nil
}

// Access returns the access log, a sink of finished requests.
func (t *Telemetry) Access() *observe.AccessLog { return t.access }

// Tracer returns the tracer, or nil if tracing is off.
func (t *Telemetry) Tracer() *observe.Tracer { return t.tracer }

// Push starts sending the gateway's metrics to the collector if the configuration asks for it. The
// metrics of t itself are among them.
func (t *Telemetry) Push(g Gateway) (err error) {
	g.AddMetrics(t.access)
	if t.spans != nil {
		g.AddMetrics(t.spans)
	}
	if t.inForce.Metrics.OTLP && !t.env.disabled() {
		t.metrics, err = t.pushMetrics(g)
	}
	return err
}

// Prepare prepares the change to next. It returns an error for a setting that cannot change in a
// running process. The caller calls commit or abandon.
func (t *Telemetry) Prepare(next config.Telemetry) (commit, abandon func(), err error) {
	now := t.inForce
	if now.ServiceName != next.ServiceName || now.Traces.Exporter != next.Traces.Exporter || now.Traces.Endpoint != next.Traces.Endpoint || now.Metrics.OTLP != next.Metrics.OTLP {
		return nil, nil, errors.New("telemetry: service_name, traces.exporter, traces.endpoint and metrics.otlp cannot be changed while the gateway runs: restart it")
	}
	access := func() {}
	abandon = access
	if now.AccessLog != next.AccessLog {
		if access, abandon, err = t.access.Prepare(accessConfig(next.AccessLog)); err != nil {
			return nil, nil, err
		}
	}
	return func() {
		t.inForce = next
		access()
		if t.tracer != nil {
			t.tracer.Configure(traceConfig(next.Traces, t.env))
		}
	}, abandon, nil
}

// Close sends the remaining spans and metrics and writes the rest of the access log. It takes at
// most flushTime.
func (t *Telemetry) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	if t.metrics != nil {
		if err := t.metrics.Shutdown(ctx); err != nil {
			t.log.Warn("the last metrics could not be sent", "error", err)
		}
	}
	if t.spans != nil {
		if err := t.spans.Shutdown(ctx); err != nil {
			t.log.Warn("the last spans could not be sent", "error", err)
		}
	}
	if t.access != nil {
		if err := t.access.Close(ctx); err != nil {
			t.log.Warn("closing the access log", "error", err)
		}
	}
}

func accessConfig(c config.AccessLog) observe.AccessConfig {
	format := map[config.AccessFormat]observe.AccessFormat{
		config.AccessJSON: observe.FormatJSON, config.AccessCommon: observe.FormatCommon, config.AccessCombined: observe.FormatCombined,
	}[c.Format]
	return observe.AccessConfig{Output: c.Output, Format: format, Sample: c.Sample}
}

func traceConfig(c config.Traces, env environment) observe.TraceConfig {
	return observe.TraceConfig{Sample: env.sampleRatio(c.Sample), Slow: c.Slow, LinkUntrusted: c.Untrusted == config.UntrustedLink}
}
