package telemetry

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/penstock/penstock/config"
)

// newSpanExporter returns the configured exporter, or nil if tracing is off. The exporters read all
// other settings from OTEL_EXPORTER_OTLP_*: headers, certificates, compression, timeouts, and the
// endpoint if the configuration has none.
func newSpanExporter(c config.Traces, env environment, stdout io.Writer) (sdktrace.SpanExporter, error) {
	ctx := context.Background()
	switch {
	case env.disabled() || c.Exporter == config.TracesNone || c.Exporter == "":
		return nil, nil
	case c.Exporter == config.TracesStdout:
		return stdouttrace.New(stdouttrace.WithWriter(stdout))
	case c.Endpoint == "" && env.wantsGRPC("TRACES"):
		return otlptracegrpc.New(ctx)
	case c.Endpoint == "":
		return otlptracehttp.New(ctx)
	}
	where, grpc, err := signalURL(c.Endpoint, "traces")
	if err != nil {
		return nil, err
	}
	if grpc {
		return otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(where))
	}
	return otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(where))
}

func newMetricExporter(endpoint string, env environment) (metric.Exporter, error) {
	ctx := context.Background()
	switch {
	case endpoint == "" && env.wantsGRPC("METRICS"):
		return otlpmetricgrpc.New(ctx)
	case endpoint == "":
		return otlpmetrichttp.New(ctx)
	}
	where, grpc, err := signalURL(endpoint, "metrics")
	if err != nil {
		return nil, err
	}
	if grpc {
		return otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpointURL(where))
	}
	return otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(where))
}

// signalURL returns the URL to which a signal is sent. For HTTP each signal has its own path below
// the endpoint, as with OTEL_EXPORTER_OTLP_ENDPOINT.
func signalURL(endpoint, signal string) (where string, grpc bool, err error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", false, err
	}
	switch u.Scheme {
	case "grpc":
		u.Scheme, grpc = "http", true
	case "grpcs":
		u.Scheme, grpc = "https", true
	default:
		u.Path = strings.TrimSuffix(u.Path, "/") + "/v1/" + signal
	}
	return u.String(), grpc, nil
}

// pushMetrics sends the gateway's metrics every OTEL_METRIC_EXPORT_INTERVAL.
func (t *Telemetry) pushMetrics(g Gateway) (*metric.MeterProvider, error) {
	res, err := newResource(t.inForce.ServiceName, t.version)
	if err != nil {
		return nil, err
	}
	exporter, err := newMetricExporter(t.inForce.Traces.Endpoint, t.env)
	if err != nil {
		return nil, fmt.Errorf("telemetry.metrics: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { t.log.Warn("metrics could not be sent", "error", err) })) // the reader reports errors only here
	reader := metric.NewPeriodicReader(exporter, metric.WithProducer(newProducer(g, t.version)))
	return metric.NewMeterProvider(metric.WithResource(res), metric.WithReader(reader)), nil
}

// newResource describes the sender of telemetry. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES
// override the configuration.
func newResource(service, version string) (*resource.Resource, error) {
	res, err := resource.New(context.Background(),
		resource.WithAttributes(attribute.String("service.name", service), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithProcessPID(), resource.WithFromEnv(),
	)
	if res == nil {
		return nil, fmt.Errorf("the resource of telemetry: %w", err)
	}
	return res, nil // if a detector failed, only its attributes are missing
}
