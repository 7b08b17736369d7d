package telemetry

import (
	"strconv"
	"strings"
)

// environment reads an environment variable. A nil environment has no variables. OpenTelemetry's
// exporters read OTEL_EXPORTER_* themselves; this file reads the variables of OpenTelemetry's
// specification that Penstock implements itself.
type environment func(name string) (value string, ok bool)

// disabled reports whether OTEL_SDK_DISABLED turns all sending off.
func (e environment) disabled() bool {
	return strings.EqualFold(e.variable("OTEL_SDK_DISABLED"), "true")
}

func (e environment) wantsGRPC(signal string) bool {
	protocol := e.variable("OTEL_EXPORTER_OTLP_" + signal + "_PROTOCOL")
	if protocol == "" {
		protocol = e.variable("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	return protocol == "grpc"
}

// sampleRatio returns the share of new traces to record. OTEL_TRACES_SAMPLER overrides the
// configured share. Every sampler is treated as parent-based.
func (e environment) sampleRatio(configured float64) float64 {
	switch sampler := strings.TrimPrefix(e.variable("OTEL_TRACES_SAMPLER"), "parentbased_"); sampler {
	case "always_on":
		return 1
	case "always_off":
		return 0
	case "traceidratio":
		if ratio, err := strconv.ParseFloat(e.variable("OTEL_TRACES_SAMPLER_ARG"), 64); err == nil && ratio >= 0 && ratio <= 1 {
			return ratio
		}
		return 1 // the specification's default
	}
	return configured
}

// positive returns the positive integer of a variable, or otherwise if the variable is unset or
// invalid.
func (e environment) positive(name string, otherwise int) int {
	if n, err := strconv.Atoi(e.variable(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

func (e environment) variable(name string) string {
	if e == nil {
		return ""
	}
	value, _ := e(name)
	return value
}
