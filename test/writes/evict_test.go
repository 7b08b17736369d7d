package writes

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/penstock/penstock/test/gatewaytest"
	"github.com/penstock/penstock/test/redistest"
)

const redisConfig = `version: 1
server: {listen: [{address: "127.0.0.1:0"}]}
admin: {address: "127.0.0.1:0"}
cache: {redis: {url: %q, timeout: 2s}}
writes: {accept_eviction: %v}
upstreams: {origin: {targets: ["http://127.0.0.1:1"]}}
routes:
  - name: items
    match: {path: "/items/{id}", methods: [GET, PUT]}
    upstream: origin
    writes: {policy: behind, queue: {retries: 1000, backoff: 2ms, max_backoff: 50ms}}
`

// TestEvictingRedis: a Redis that evicts is given no writes, and the client and the operator are told. If that is accepted, a write that is gone is told to
// be lost: in its state, and in a metric.
func TestEvictingRedis(t *testing.T) {
	redis := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always", "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru")
	p := gateway.Start(t, fmt.Sprintf(redisConfig, redis.URL(), false))
	resp := put(t, "http://"+p.Public(), "/items/1", "1")
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a write is answered %s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
	}
	var ready struct{ Writes struct{ State, Error string } }
	getJSON(t, "http://"+p.Admin()+"/readyz", &ready)
	if ready.Writes.State != "refused" || !strings.Contains(ready.Writes.Error, "writes.accept_eviction") {
		t.Errorf("/readyz: %+v", ready)
	}
	if p.Count(`level=ERROR msg="writes are refused with status 503"`) != 1 {
		t.Error("the log does not say so once")
	}

	p = gateway.Start(t, fmt.Sprintf(redisConfig, redis.URL(), true))
	url := "http://" + p.Public()
	resp = put(t, url, "/items/1", "1")
	location := resp.Header.Get("Location")
	if resp.StatusCode != http.StatusAccepted {
		t.Fatalf("with the risk accepted a write is answered %s", resp.Status)
	}
	if state := stateAt(t, url+location); state != "queued" && state != "retrying" {
		t.Errorf("its state is %s", state)
	}
	redis.Must("FLUSHALL")
	gatewaytest.Eventually(t, "the write is told to be lost", func() bool { return stateAt(t, url+location) == "lost" })
	metrics, err := http.Get("http://" + p.Admin() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer metrics.Body.Close()
	if text, _ := io.ReadAll(metrics.Body); !strings.Contains(string(text), "\npenstock_writes_lost_total 1\n") {
		t.Error("the metric does not count it")
	}
}

// stateAt is the state of a write.
func stateAt(t *testing.T, url string) string {
	t.Helper()
	var answer struct{ State string }
	getJSON(t, url, &answer)
	return answer.State
}
