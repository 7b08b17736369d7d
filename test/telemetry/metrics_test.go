package telemetry

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/penstock/penstock/test/load/program"
	"github.com/penstock/penstock/test/redistest"
)

// scrape is /metrics in the format asked for; "": the plain text.
func scrape(t *testing.T, g *program.Process, accept string) []byte {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+g.Admin()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	return text
}

// families are the metrics of g.
func families(t *testing.T, g *program.Process) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	out, err := parser.TextToMetricFamilies(bytes.NewReader(scrape(t, g, "")))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// value is the sum of the family's points that have the label's value; "" for all.
func value(f *dto.MetricFamily, label string) float64 {
	sum := 0.0
	for _, m := range f.GetMetric() {
		fits := label == ""
		for _, l := range m.Label {
			fits = fits || l.GetValue() == label
		}
		if fits {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

// awaitMetric waits until the metric has at least the value.
func awaitMetric(t *testing.T, g *program.Process, name, label string, want float64) {
	t.Helper()
	for end := time.Now().Add(program.Patience); ; time.Sleep(10 * time.Millisecond) {
		got := value(families(t, g)[name], label)
		if got >= want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s is %v, want %v", name, got, want)
		}
	}
}

func awaitRedis(t *testing.T, gs ...*program.Process) {
	t.Helper()
	for _, g := range gs {
		awaitMetric(t, g, "penstock_redis_up", "", 1)
		awaitMetric(t, g, "penstock_redis_purges_current", "", 1)
	}
}

func TestPrometheusLikesTheMetrics(t *testing.T) {
	o, redis := startOrigin(t), redistest.Start(t)
	g := gateway(t, o, "telemetry: {access_log: {output: stdout}}\ncache: {redis: {url: \""+redis.URL()+"\", timeout: 5s}}\n")
	awaitRedis(t, g)
	for _, path := range []string{"/a", "/a", "/b", "/broken", "/plain/1"} {
		ask(t, "GET", "http://"+g.Public()+path)
	}
	awaitMetric(t, g, "penstock_http_requests_total", "", 5)
	text := scrape(t, g, "")
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	all := families(t, g)
	for name, want := range map[string]float64{
		"penstock_http_requests_total": 5, "penstock_origin_requests_total": 4, "penstock_cache_saved_bytes_total": 7, "penstock_http_response_bytes_total": 4 * 7,
		"penstock_upstream_tries_total": 4, "penstock_fills_total": 3, "penstock_config_last_reload_successful": 1, "penstock_ready": 1, "penstock_cache_objects": 2,
		"penstock_access_log_dropped_lines_total": 0,
	} {
		if got := value(all[name], ""); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if got := value(all["penstock_http_requests_total"], "hit"); got != 1 {
		t.Errorf("%v hits", got)
	}
	if open := scrape(t, g, "application/openmetrics-text;version=1.0.0"); !bytes.HasSuffix(open, []byte("# EOF\n")) {
		t.Error("OpenMetrics has no end")
	}
	native(t, scrape(t, g, "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"))
}

// native looks for native histograms that hold what the classic ones do.
func native(t *testing.T, protobuf []byte) {
	t.Helper()
	dec := expfmt.NewDecoder(bytes.NewReader(protobuf), expfmt.NewFormat(expfmt.TypeProtoDelim))
	for {
		var f dto.MetricFamily
		if err := dec.Decode(&f); err == io.EOF {
			t.Fatal("there is no histogram")
		} else if err != nil {
			t.Fatal(err)
		}
		if f.GetType() != dto.MetricType_HISTOGRAM {
			continue
		}
		for _, m := range f.Metric {
			h := m.Histogram
			count, bucket := int64(h.GetZeroCount()), int64(0)
			for _, d := range h.PositiveDelta {
				bucket += d
				count += bucket
			}
			spans := 0
			for _, s := range h.PositiveSpan {
				spans += int(s.GetLength())
			}
			if h.GetSchema() != 2 || count != int64(h.GetSampleCount()) || spans != len(h.PositiveDelta) || len(h.Bucket) < 10 {
				t.Errorf("%v", m)
			}
		}
		return
	}
}

// TestStreamsAreCountedBesideTheMaximum: an operator sees how many streams take connections to a
// target without counting in pool.max.
func TestStreamsAreCountedBesideTheMaximum(t *testing.T) {
	o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.URL.Query().Get("type"))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer o.Close()
	g := binary.Start(t, "version: 1\nserver: {listen: [{address: \"127.0.0.1:0\"}]}\nadmin: {address: \"127.0.0.1:0\"}\nupstreams:\n  origin: {targets: ["+o.URL+"]}\n"+
		"routes:\n  - {name: all, match: {path: \"/*\"}, upstream: origin}\n")
	const name = "penstock_upstream_requests_beside_max"
	if _, there := families(t, g)[name]; !there {
		t.Fatalf("there is no %s", name)
	}
	for i, kind := range []string{"text/plain", "text/event-stream", "multipart/x-mixed-replace"} {
		resp, err := http.Get("http://" + g.Public() + "/?type=" + kind)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		awaitMetric(t, g, "penstock_upstream_requests_running", "origin", float64(i+1))
		if got := value(families(t, g)[name], "origin"); got != float64(i) {
			t.Errorf("%s is %v once %s has begun, want %d", name, got, kind, i)
		}
	}
}

// TestClientsCannotMakeSeries sends requests with all that a client may choose chosen at random. PENSTOCK_SERIES_REQUESTS says how many.
func TestClientsCannotMakeSeries(t *testing.T) {
	requests := 3000
	if n, err := strconv.Atoi(os.Getenv("PENSTOCK_SERIES_REQUESTS")); err == nil {
		requests = n
	}
	o := startOrigin(t)
	g := gateway(t, o, "")
	series := func() int { return bytes.Count(scrape(t, g, ""), []byte("\n")) }
	storm(t, g, max(requests/10, 2000))
	before := series()
	storm(t, g, requests)
	awaitMetric(t, g, "penstock_http_requests_total", "", float64(requests))
	after := series()
	t.Logf("%d requests: %d lines before, %d after", requests, before, after)
	if bound := 600; after > bound { // what two routes can come to, see observe.Series
		t.Errorf("%d lines of metrics, more than %d", after, bound)
	}
	if after > before+100 { // classes that were rare come late
		t.Errorf("the number of lines grew from %d to %d", before, after)
	}
}

// storm sends n requests over a few connections.
func storm(t *testing.T, g *program.Process, n int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	word := func() string { return fmt.Sprintf("%x", rand.Uint64()) }
	var done sync.WaitGroup
	for range 8 {
		done.Go(func() {
			for range n / 8 {
				method := []string{"GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "X" + strings.ToUpper(word())}[rand.IntN(10)]
				req, err := http.NewRequest(method, "http://"+g.Public()+"/"+[]string{"", "plain/"}[rand.IntN(2)]+word()+"?"+word(), nil)
				if err != nil {
					t.Error(err)
					return
				}
				req.Host = word() + ".test"
				req.Header.Set("User-Agent", word())
				req.Header.Set("Surrogate-Key", word())
				req.Header.Set("X-"+word(), word())
				resp, err := client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body) // what it holds does not matter
				resp.Body.Close()
			}
		})
	}
	done.Wait()
}

func TestMetricsReachACollector(t *testing.T) {
	t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "200")
	for _, protocol := range []string{"http", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			c, o := startCollector(t), startOrigin(t)
			where := map[string]string{"http": "http://" + c.http, "grpc": "grpc://" + c.grpc}[protocol]
			g := gateway(t, o, "telemetry: {traces: {endpoint: \""+where+"\"}, metrics: {otlp: true}}\n")
			ask(t, "GET", "http://"+g.Public()+"/a")
			ask(t, "GET", "http://"+g.Public()+"/a")
			for end := time.Now().Add(program.Patience); ; time.Sleep(20 * time.Millisecond) {
				if received(c.metrics.AllMetrics()) == 2 {
					break
				}
				if time.Now().After(end) {
					t.Fatal("no exponential histogram of two requests came")
				}
			}
		})
	}
}

// received is the count of the last exponential histogram of request durations.
func received(batches []pmetric.Metrics) (count uint64) {
	for _, batch := range batches {
		for _, of := range batch.ResourceMetrics().All() {
			for _, scope := range of.ScopeMetrics().All() {
				for _, m := range scope.Metrics().All() {
					if m.Name() != "penstock_http_request_duration_seconds" || m.Type() != pmetric.MetricTypeExponentialHistogram {
						continue
					}
					count = 0
					for _, p := range m.ExponentialHistogram().DataPoints().All() {
						count += p.Count()
					}
				}
			}
		}
	}
	return count
}

func TestTheAccessLogIsRotated(t *testing.T) {
	o := startOrigin(t)
	path := filepath.Join(t.TempDir(), "access.log")
	g := gateway(t, o, "telemetry: {access_log: {output: "+path+"}}\n")
	ask(t, "GET", "http://"+g.Public()+"/a?b=%0d%0aforged")
	ask(t, "GET", "http://"+g.Public()+"/a?b=%0d%0aforged")
	awaitFile(t, path, `"target":"/a?b=%0d%0aforged"`, 2)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	g.Signal(syscall.SIGUSR1)
	awaitFile(t, path, "", 0)
	ask(t, "GET", "http://"+g.Public()+"/b")
	g.Signal(syscall.SIGTERM)
	g.Exit()
	awaitFile(t, path, `"target":"/b"`, 1)
	awaitFile(t, path+".1", `"cache":"hit"`, 1)
}

// awaitFile waits until the file is there and has n lines with the text.
func awaitFile(t *testing.T, path, text string, n int) {
	t.Helper()
	for end := time.Now().Add(program.Patience); ; time.Sleep(10 * time.Millisecond) {
		content, err := os.ReadFile(path)
		if err == nil && (text == "" || strings.Count(string(content), text) == n) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v\n%s", path, err, content)
		}
	}
}
