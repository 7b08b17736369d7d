package main

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
	"github.com/penstock/penstock/proxy"
	"github.com/penstock/penstock/proxy/observe"
)

// flushTime bounds how long a stopping gateway waits for a collector and for the access log's
// output.
const flushTime = 5 * time.Second

// telemetry sends what the process records of its gateway: spans, pushed metrics, the access log.
type telemetry struct {
	access  *observe.AccessLog
	tracer  *observe.Tracer // nil if tracing is off
	spans   *spanQueue      // nil if tracer is nil
	metrics *metric.MeterProvider
	inForce config.Telemetry
}

// newTelemetry sets up tracing and the access log as configured. push starts the metrics.
func newTelemetry(cfg *config.Config, env lookup, stdout io.Writer, log *slog.Logger) (*telemetry, error) {
	t := &telemetry{inForce: cfg.Telemetry}
	exporter, err := newSpanExporter(cfg.Telemetry.Traces, env, stdout)
	if err != nil {
		return nil, fmt.Errorf("telemetry.traces: %w", err)
	}
	if exporter != nil {
		res, err := newResource(cfg.Telemetry.ServiceName)
		if err != nil {
			return nil, errors.Join(err, exporter.Shutdown(context.Background()))
		}
		t.spans = newSpanQueue(exporter, env, log)
		provider := sdktrace.NewTracerProvider(
			sdktrace.WithResource(res), sdktrace.WithSpanProcessor(t.spans), sdktrace.WithIDGenerator(observe.IDs{}), sdktrace.WithSampler(sdktrace.AlwaysSample()),
		)
		t.tracer = observe.NewTracer(provider.Tracer("github.com/penstock/penstock"), traceConfig(cfg.Telemetry.Traces, env))
	}
	t.access = observe.NewAccessLog(func(err error) { log.Error("the access log cannot be written", "error", err) })
	commit, _, err := t.access.Prepare(accessConfig(cfg.Telemetry.AccessLog))
	if err != nil {
		t.close(log)
		return nil, err
	}
	commit()
	return t, nil
}

// push starts sending the gateway's metrics to the collector if the configuration asks for it. The
// metrics of t itself are among them.
func (t *telemetry) push(g *proxy.Gateway, env lookup, log *slog.Logger) (err error) {
	g.AddMetrics(t.access)
	if t.spans != nil {
		g.AddMetrics(t.spans)
	}
	if t.inForce.Metrics.OTLP && !disabled(env) {
		t.metrics, err = pushMetrics(g, t.inForce, env, log)
	}
	return err
}

// prepare prepares the change to cfg. It returns an error for a setting that cannot change in a
// running process.
func (t *telemetry) prepare(cfg *config.Config, env lookup) (commit, abandon func(), err error) {
	now, next := t.inForce, cfg.Telemetry
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
			t.tracer.Configure(traceConfig(next.Traces, env))
		}
	}, abandon, nil
}

// close sends the remaining spans and metrics and writes the rest of the access log. It takes at
// most flushTime.
func (t *telemetry) close(log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	if t.metrics != nil {
		if err := t.metrics.Shutdown(ctx); err != nil {
			log.Warn("the last metrics could not be sent", "error", err)
		}
	}
	if t.spans != nil {
		if err := t.spans.Shutdown(ctx); err != nil {
			log.Warn("the last spans could not be sent", "error", err)
		}
	}
	if t.access != nil {
		if err := t.access.Close(ctx); err != nil {
			log.Warn("closing the access log", "error", err)
		}
	}
}

func accessConfig(c config.AccessLog) observe.AccessConfig {
	format := map[config.AccessFormat]observe.AccessFormat{
		config.AccessJSON: observe.FormatJSON, config.AccessCommon: observe.FormatCommon, config.AccessCombined: observe.FormatCombined,
	}[c.Format]
	return observe.AccessConfig{Output: c.Output, Format: format, Sample: c.Sample}
}

func traceConfig(c config.Traces, env lookup) observe.TraceConfig {
	return observe.TraceConfig{Sample: sampleRatio(c.Sample, env), Slow: c.Slow, LinkUntrusted: c.Untrusted == config.UntrustedLink}
}
