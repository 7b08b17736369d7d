package admin

import (
	"math"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/advice"
)

// Advice is the response to GET /advice.
type Advice struct {
	// Since is the period of the evidence in seconds. Requests is the number of requests in it.
	Since    float64         `json:"since_s"`
	Requests uint64          `json:"requests"`
	Advice   []advice.Advice `json:"advice"`
}

// Advise returns the changes of the configuration that the evidence suggests. It adds the runtime's
// figures about the process to e.
func Advise(e *advice.Evidence) *Advice {
	e.Instance = instanceEvidence()
	out := &Advice{Since: e.Since.Round(time.Millisecond).Seconds(), Advice: []advice.Advice{}}
	for _, row := range e.Meter.Rows {
		out.Requests += row.Requests
	}
	for _, a := range advice.Advise(e) {
		if a.YAML != "" && !pastes(&a) {
			a.YAML, a.Where = "", ""
			a.Caution = strings.TrimPrefix(a.Caution+"; this version has no configuration for it yet", "; ")
		}
		out.Advice = append(out.Advice, a)
	}
	return out
}

// pastes reports whether the configuration accepts the YAML of a in the place that a names.
func pastes(a *advice.Advice) bool {
	_, err := config.Parse("advice.yaml", []byte(Pasted(a)), nil, nil)
	return err == nil
}

// Pasted returns a small configuration with the YAML of a in its place.
func Pasted(a *advice.Advice) string {
	upstream, route, top := "{targets: [\"http://127.0.0.1:1\"]}\n", "    upstream: o\n", ""
	switch {
	case strings.HasPrefix(a.Where, "under the route"):
		if strings.Contains(a.Where, "in place of its upstream") {
			route = ""
		}
		route += indented(strings.ReplaceAll(a.YAML, "upstream: "+batched(a.YAML), "upstream: o"), "    ")
	case strings.HasPrefix(a.Where, "under the upstream"):
		upstream = "\n    targets: [\"http://127.0.0.1:1\"]\n" + indented(a.YAML, "    ")
	default:
		top = a.YAML
	}
	return "version: 1\n" + top + "upstreams:\n  o: " + upstream + "defaults: {cache: {enabled: true}}\nroutes:\n  - name: r\n    match: {path: \"/{id}\", methods: [GET]}\n" + route
}

// batched returns the upstream that a batch names.
func batched(yaml string) string {
	_, rest, _ := strings.Cut(yaml, "upstream: ")
	name, _, _ := strings.Cut(rest, ",")
	return name
}

func indented(text, indent string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(indent + line)
	}
	return b.String()
}

// instanceEvidence returns the runtime's figures about the process.
func instanceEvidence() (e advice.InstanceEvidence) {
	samples := []metrics.Sample{
		{Name: "/cpu/classes/total:cpu-seconds"}, {Name: "/cpu/classes/idle:cpu-seconds"}, {Name: "/sched/gomaxprocs:threads"},
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	if total := samples[0].Value.Float64(); total > 0 {
		e.Busy = 1 - samples[1].Value.Float64()/total
		e.Processors = int(samples[2].Value.Uint64())
	}
	e.Memory = int64(samples[3].Value.Uint64() - samples[4].Value.Uint64())
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		e.Limit = limit
	}
	return e
}
