// Package telemetry sends what a gateway records of itself: spans to OpenTelemetry, metrics that
// are pushed to a collector, and the access log.
//
// It knows the configuration of telemetry and the records of package observe, and nothing else of
// the gateway. It alone uses OpenTelemetry's SDK and exporters.
package telemetry
