package config

import "time"

// Telemetry configures the gateway's reports about itself.
type Telemetry struct {
	// ServiceName is the service name in traces and metrics. OTEL_SERVICE_NAME takes precedence.
	ServiceName string `key:"service_name" as:"name"`
	// Traces are spans of requests, for OpenTelemetry.
	Traces Traces `key:"traces"`
	// Metrics are counters and gauges.
	Metrics Metrics `key:"metrics"`
	// AccessLog has a line for each request.
	AccessLog AccessLog `key:"access_log"`
}

// Traces are spans of requests.
type Traces struct {
	// Exporter is the destination of spans. The environment variables OTEL_EXPORTER_OTLP_*
	// configure the rest, such as headers and certificates.
	Exporter TraceExporter `key:"exporter" enum:"none|otlp|stdout"`
	// Endpoint is the collector: http:// or https:// for OTLP over HTTP, grpc:// or grpcs:// for
	// gRPC. "" means the value of OTEL_EXPORTER_OTLP_ENDPOINT, or http://127.0.0.1:4318 if that is
	// not set.
	Endpoint string `key:"endpoint" as:"otlp_endpoint"`
	// Sample is the share of new traces that are recorded. If a trusted proxy names a parent span,
	// the parent's decision applies instead.
	Sample float64 `key:"sample" min:"0" max:"1" print:"always"`
	// Slow is the duration from which a request is recorded although it is not in the sample.
	// Failed requests are always recorded. 0 turns this off.
	Slow time.Duration `key:"slow" print:"always"`
	// Untrusted says how the gateway treats a parent span that any other client names: it links its
	// own trace to that span, or ignores it.
	Untrusted UntrustedParent `key:"untrusted" enum:"link|ignore"`
}

// TraceExporter is the destination of spans.
type TraceExporter string

const (
	TracesNone   TraceExporter = "none"   // spans are not recorded
	TracesOTLP   TraceExporter = "otlp"   // to a collector
	TracesStdout TraceExporter = "stdout" // to standard output, for testing
)

// UntrustedParent says how the gateway treats a parent span that an untrusted client names.
type UntrustedParent string

const (
	UntrustedLink   UntrustedParent = "link"   // a new trace with a link
	UntrustedIgnore UntrustedParent = "ignore" // a new trace
)

// Metrics are counters and gauges.
type Metrics struct {
	// Prometheus serves the metrics on the admin listener as /metrics.
	Prometheus bool `key:"prometheus" print:"always"`
	// OTLP sends the metrics to the collector of the traces, every OTEL_METRIC_EXPORT_INTERVAL.
	OTLP bool `key:"otlp"`
}

// AccessLog has a line for each request.
type AccessLog struct {
	// Output is stdout, stderr, "off", or the path of a file. SIGUSR1 reopens the file.
	Output string `key:"output" as:"file"`
	// Format is json, or one of the two traditional formats of web servers.
	Format AccessFormat `key:"format" enum:"json|common|combined"`
	// Sample is the share of requests that are logged. Failed requests are always logged.
	Sample float64 `key:"sample" min:"0" max:"1" print:"always"`
}

// AccessFormat is the format of the access log.
type AccessFormat string

const (
	AccessJSON     AccessFormat = "json"     // one JSON object on each line
	AccessCommon   AccessFormat = "common"   // Common Log Format
	AccessCombined AccessFormat = "combined" // Common Log Format with Referer and User-Agent
)

// Outputs of the access log other than a path.
const (
	AccessOff    = "off"    // the access log is off
	AccessStdout = "stdout" // to standard output
	AccessStderr = "stderr" // to standard error
)
