package config

import "time"

// Telemetry is what the gateway says of itself.
type Telemetry struct {
	// ServiceName is what traces and metrics are known by; OTEL_SERVICE_NAME wins.
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
	// Exporter is where spans go. The environment variables OTEL_EXPORTER_OTLP_* say the rest, such as headers and certificates.
	Exporter TraceExporter `key:"exporter" enum:"none|otlp|stdout"`
	// Endpoint is the collector: http:// or https:// for OTLP over HTTP, grpc:// or grpcs:// for gRPC; "": that of OTEL_EXPORTER_OTLP_ENDPOINT,
	// else http://127.0.0.1:4318.
	Endpoint string `key:"endpoint" as:"otlp_endpoint"`
	// Sample is the share of new traces that are recorded. The decision of a parent that a trusted proxy names is followed.
	Sample float64 `key:"sample" min:"0" max:"1" print:"always"`
	// Slow is how long a request takes at least to be recorded although the sample leaves it out, as failed ones are; 0: none is.
	Slow time.Duration `key:"slow" print:"always"`
	// Untrusted says what becomes of the parent that any other client names: a trace of its own is linked to it, or it is ignored.
	Untrusted UntrustedParent `key:"untrusted" enum:"link|ignore"`
}

// TraceExporter is where spans go.
type TraceExporter string

const (
	TracesNone   TraceExporter = "none"   // there are no spans
	TracesOTLP   TraceExporter = "otlp"   // to a collector
	TracesStdout TraceExporter = "stdout" // to standard output, for trying out
)

// UntrustedParent is what becomes of a parent span that an untrusted client names.
type UntrustedParent string

const (
	UntrustedLink   UntrustedParent = "link"   // a new trace, with a link
	UntrustedIgnore UntrustedParent = "ignore" // a new trace
)

// Metrics are counters and gauges.
type Metrics struct {
	// Prometheus serves them on the admin listener as /metrics.
	Prometheus bool `key:"prometheus" print:"always"`
	// OTLP sends them to the collector of traces, every OTEL_METRIC_EXPORT_INTERVAL.
	OTLP bool `key:"otlp"`
}

// AccessLog has a line for each request.
type AccessLog struct {
	// Output is stdout, stderr, "off", or the path of a file, which SIGUSR1 opens again.
	Output string `key:"output" as:"file"`
	// Format is json, or one of the two that web servers have always written.
	Format AccessFormat `key:"format" enum:"json|common|combined"`
	// Sample is the share of requests that are logged; failed ones always are.
	Sample float64 `key:"sample" min:"0" max:"1" print:"always"`
}

// AccessFormat is the format of the access log.
type AccessFormat string

const (
	AccessJSON     AccessFormat = "json"     // an object a line
	AccessCommon   AccessFormat = "common"   // Common Log Format
	AccessCombined AccessFormat = "combined" // the same with Referer and User-Agent
)

// Outputs of the access log that are no paths.
const (
	AccessOff    = "off"    // nothing is logged
	AccessStdout = "stdout" // to standard output
	AccessStderr = "stderr" // to standard error
)
