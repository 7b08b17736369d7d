package observe

// Metrics reports all counts of m. Requests have all labels of their series. Latencies and bytes
// have fewer, because a histogram has many values.
func (m *Meter) Metrics(add func(Family)) {
	rows := m.Read().Rows
	requests := Family{Name: "penstock_http_requests_total", Help: "Answered requests.", Kind: Counter}
	latency := grouped{Family: Family{
		Name: "penstock_http_request_duration_seconds", Help: "Time from a request's arrival to the end of its response.", Kind: Durations,
	}}
	for i := range rows {
		r := &rows[i]
		if r.Requests == 0 {
			continue // a series that has only fills
		}
		requests.Points = append(requests.Points, Point{
			Labels: Labels("route", r.Route, "method", r.Method, "status", r.Status, "cache", r.Cache), Value: float64(r.Requests),
		})
		p := latency.point("route", r.Route, "cache", r.Cache)
		if p.Duration == nil {
			p.Duration = new(Histogram)
		}
		p.Duration.Add(&r.Latency)
	}
	add(requests)
	add(latency.Family)
	for _, sum := range meterSums {
		g := grouped{Family: Family{Name: sum.name, Help: sum.help, Kind: Counter}}
		for i := range rows {
			g.point("route", rows[i].Route).Value += float64(sum.of(&rows[i].Counts))
		}
		add(g.Family)
	}
}

// meterSums are the counters with the route as their only label.
var meterSums = []struct {
	name, help string
	of         func(*Counts) uint64
}{
	{"penstock_http_request_bytes_total", "Bytes of requests from clients, with heads.", func(c *Counts) uint64 { return c.BytesIn }},
	{"penstock_http_response_bytes_total", "Bytes of content sent to clients.", func(c *Counts) uint64 { return c.BytesOut }},
	{"penstock_origin_requests_total", "Calls to upstreams.", func(c *Counts) uint64 { return c.OriginRequests }},
	{"penstock_origin_response_bytes_total", "Bytes of content received from upstreams.", func(c *Counts) uint64 { return c.BytesFromOrigin }},
	{"penstock_cache_saved_bytes_total", "Bytes of content sent to clients that upstreams did not have to send.", func(c *Counts) uint64 { return c.BytesSavedByCache }},
	{"penstock_compression_saved_bytes_total", "Bytes of content saved because the gateway compressed it.", func(c *Counts) uint64 { return c.BytesSavedByCompression }},
}

// grouped is a Family whose points are indexed by their labels.
type grouped struct {
	Family
	by map[[2]string]int
}

// point returns the point with the given labels, one or two.
func (g *grouped) point(pairs ...string) *Point {
	if g.by == nil {
		g.by = make(map[[2]string]int)
	}
	key := [2]string{pairs[1]}
	if len(pairs) > 2 {
		key[1] = pairs[3]
	}
	i, ok := g.by[key]
	if !ok {
		i = len(g.Points)
		g.by[key] = i
		g.Points = append(g.Points, Point{Labels: Labels(pairs...)})
	}
	return &g.Points[i]
}
