package proxy

import (
	"math"
	"net/http"
	"runtime/debug"
	"runtime/metrics"
	"strings"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/advice"
)

// Advice is what GET /advice answers with.
type Advice struct {
	// Since is how long evidence was collected, in seconds, and Requests how many requests it is of.
	Since    float64         `json:"since_s"`
	Requests uint64          `json:"requests"`
	Advice   []advice.Advice `json:"advice"`
}

// advisedRoutes is what the configuration says of its routes, as far as advice goes by it.
func advisedRoutes(cfg *config.Config) []advice.Route {
	routes := make([]advice.Route, len(cfg.Routes))
	for i, r := range cfg.Routes {
		routes[i] = advice.Route{
			Name: r.Name, Upstream: r.Upstream, Param: strings.Contains(r.Match.Path, "{"), Cached: r.Cache.Enabled, Compress: r.Compress.Enabled,
			Batched: r.Batch != nil, Paginated: r.Paginate != nil,
		}
	}
	return routes
}

// Advise says what the traffic so far shows could be configured better.
func (g *Gateway) Advise() *Advice {
	e := g.evidence.Read(g.meter.Read())
	e.Since = g.options.Now().Sub(g.started)
	e.Memory.Size, e.Memory.Used, e.Memory.MaxObject = g.live.size.Size, g.live.memory.Stats().Bytes, g.live.size.MaxObject
	e.Instance = instanceEvidence()
	out := &Advice{Since: seconds(e.Since), Advice: []advice.Advice{}}
	for _, row := range e.Meter.Rows {
		out.Requests += row.Requests
	}
	for _, a := range advice.Advise(&e) {
		if a.YAML != "" && !pastes(&a) {
			a.YAML, a.Where = "", ""
			a.Caution = strings.TrimPrefix(a.Caution+"; this version has no configuration for it yet", "; ")
		}
		out.Advice = append(out.Advice, a)
	}
	return out
}

// pastes reports whether the YAML of a is taken where it says it belongs.
func pastes(a *advice.Advice) bool {
	_, err := config.Parse("advice.yaml", []byte(Pasted(a)), nil, nil)
	return err == nil
}

// Pasted is a small configuration into which the YAML of a was pasted.
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

// batched is the upstream that a batch names.
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

// instanceEvidence is what the runtime knows of the process.
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

func (g *Gateway) serveAdvice(w http.ResponseWriter, _ *http.Request) {
	adminJSON(w, http.StatusOK, g.Advise())
}
