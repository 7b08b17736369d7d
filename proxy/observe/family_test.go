package observe

import (
	"errors"
	"testing"
)

func TestGatherJoinsFamiliesByName(t *testing.T) {
	a := SourceFunc(func(add func(Family)) { add(One(Gauge, "b", "", 1, "of", "a")); add(One(Counter, "a", "", 2)) })
	b := SourceFunc(func(add func(Family)) { add(One(Gauge, "b", "", 3, "of", "b")) })
	got := Gather(a, b)
	if len(got) != 2 || got[0].Name != "a" || len(got[1].Points) != 2 || got[1].Points[1].Value != 3 || got[1].Points[1].Labels[0] != (Label{"of", "b"}) {
		t.Errorf("%+v", got)
	}
}

func TestMeterMetrics(t *testing.T) {
	m := NewMeter()
	m.Declare("api", "web")
	m.Finish(&Event{Route: "api", Method: "GET", Status: 200, Cache: CacheHit, BytesOut: 5}, nil)
	m.Finish(&Event{Route: "api", Method: "HEAD", Status: 200, Cache: CacheHit, BytesOut: 0}, nil)
	m.Finish(&Event{Route: "web", Method: "GET", Status: 502, Cache: CacheMiss}, nil)
	m.Fill(&Event{Route: "api", Method: "GET", Status: 200, Cache: CacheRefreshed, OriginRequests: 1})
	by := make(map[string]Family)
	for _, f := range Gather(m) {
		by[f.Name] = f
	}
	if f := by["penstock_http_requests_total"]; len(f.Points) != 3 {
		t.Errorf("%+v", f)
	}
	if f := by["penstock_http_request_duration_seconds"]; len(f.Points) != 2 || f.Points[0].Duration.Count != 2 {
		t.Errorf("%+v", f)
	}
	if f := by["penstock_origin_requests_total"]; len(f.Points) != 2 || f.Points[0].Value != 1 {
		t.Errorf("%+v", f)
	}
	if f := by["penstock_cache_saved_bytes_total"]; f.Points[0].Value != 5 {
		t.Errorf("%+v", f)
	}
}

func TestFillsByKind(t *testing.T) {
	f := new(Fills)
	f.Fill(&Event{Lease: LeaseHeld})
	f.Fill(&Event{Background: true, Lease: LeaseShared})
	f.Fill(&Event{Lease: LeaseFailed, Err: errors.New("refused")})
	for _, family := range Gather(f) {
		sum := 0.0
		for _, p := range family.Points {
			sum += p.Value
		}
		if want := map[string]float64{"penstock_fills_total": 3, "penstock_fill_failures_total": 1, "penstock_leases_total": 3}[family.Name]; sum != want {
			t.Errorf("%s adds up to %v, want %v", family.Name, sum, want)
		}
	}
}
