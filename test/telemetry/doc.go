// Package telemetry shows what a running gateway says of itself to those it says it to: spans and metrics to the OTLP receiver of the OpenTelemetry
// Collector, metrics to Prometheus' linter, lines to a file. It is a module of its own, so that theirs are no dependencies of the gateway's.
package telemetry
