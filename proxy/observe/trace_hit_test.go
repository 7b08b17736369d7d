package observe

import (
	"net/netip"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// TestSpanOfAHit checks the span of a hit: it is below the parent that a trusted peer
// names, and exists only if the hit is traced.
func TestSpanOfAHit(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	tracer := NewTracer(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans), sdktrace.WithIDGenerator(IDs{})).Tracer(""), TraceConfig{})
	h := Hit{
		Route: "api", Method: "GET", Status: 200, ClientIP: netip.MustParseAddr("192.0.2.1"), Scheme: "https", Host: "a.example", Key: 0xff, BytesOut: 7,
		Head:  []byte("GET /x/1?q=2 HTTP/1.1\r\nHost: A.example\r\nTraceparent: " + aParent + "\r\nUser-Agent: me\r\n\r\n"),
		Start: time.Unix(1_800_000_000, 0), Took: time.Millisecond, TTL: time.Minute, Coding: "gzip", Pattern: "/x/{id}",
	}
	tracer.Hit(&h)
	if n := len(spans.GetSpans()); n != 0 {
		t.Fatalf("%d spans of a request that is not traced", n)
	}
	for _, trusted := range []bool{true, false} {
		h.Traced, h.Trusted = true, trusted
		spans.Reset()
		tracer.Hit(&h)
		got := spans.GetSpans()
		if len(got) != 1 {
			t.Fatalf("%d spans", len(got))
		}
		s := got[0]
		if s.Name != "GET /x/{id}" || !s.StartTime.Equal(h.Start) || s.EndTime.Sub(s.StartTime) != h.Took || (s.Parent.TraceID().String() == aParent[3:35]) != trusted {
			t.Errorf("trusted %t: %+v", trusted, s)
		}
		attrs := attribute.NewSet(s.Attributes...)
		for key, want := range map[attribute.Key]string{
			"url.path": "/x/1", "url.query": "q=2", "user_agent.original": "me", "penstock.cache.status": "hit", "penstock.cache.tier": "memory",
			"penstock.cache.key_hash": "00000000000000ff", "penstock.cache.coding": "gzip", "http.route": "/x/{id}", "client.address": "192.0.2.1",
		} {
			if v, _ := attrs.Value(key); v.AsString() != want {
				t.Errorf("%s is %q, not %q", key, v.AsString(), want)
			}
		}
	}
}
