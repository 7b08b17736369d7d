package prom

import (
	"bytes"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"

	"github.com/penstock/penstock/proxy/observe"
)

func someFamilies() []observe.Family {
	h := observe.Histogram{Count: 3, Sum: 3 * time.Second}
	h.Buckets[0], h.Buckets[80], h.Buckets[observe.NBuckets-1] = 1, 1, 1 // shorter than all, 1 s, longer than all
	return []observe.Family{
		observe.One(observe.Counter, "a_total", "Of a.", 2, "route", `quo"te`),
		{Name: "d_seconds", Help: "Of d.", Kind: observe.Durations, Points: []observe.Point{{Labels: observe.Labels("route", "x"), Duration: &h}}},
		{Name: "nothing", Help: "Has no points."},
	}
}

func TestText(t *testing.T) {
	var out bytes.Buffer
	if err := Write(&out, expfmt.NewFormat(expfmt.TypeTextPlain), someFamilies()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# HELP a_total Of a.\n# TYPE a_total counter\na_total{route=\"quo\\\"te\"} 2\n",
		`d_seconds_bucket{route="x",le="0.5"} 1`, `d_seconds_bucket{route="x",le="1"} 2`, `d_seconds_bucket{route="x",le="32"} 2`, `d_seconds_bucket{route="x",le="+Inf"} 3`,
		`d_seconds_sum{route="x"} 3`, `d_seconds_count{route="x"} 3`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "nothing") {
		t.Error("a family without points is written")
	}
}

func TestClassicBucketBounds(t *testing.T) {
	for i, want := range map[int]float64{0: 1.0 / 65536, 14: 1, 18: 32} {
		if got := observe.Bound(classic[i]); got != want {
			t.Errorf("bound %d is %v, want %v", i, got, want)
		}
	}
}

func TestNativeHistogramIsComplete(t *testing.T) {
	h := histogram(someFamilies()[1].Points[0].Duration)
	if h.GetSchema() != 2 || h.GetZeroCount() != 1 || len(h.PositiveSpan) != 2 || len(h.PositiveDelta) != 2 || h.PositiveSpan[0].GetOffset() != 0 || h.PositiveSpan[1].GetOffset() != 28 {
		t.Errorf("%v", h)
	}
	if empty := histogram(new(observe.Histogram)); len(empty.PositiveSpan) != 1 {
		t.Errorf("a histogram without observations is no native one: %v", empty)
	}
}

func TestScraperChoosesTheFormat(t *testing.T) {
	for accept, want := range map[string]string{"": "text/plain", "application/openmetrics-text": "application/openmetrics-text", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited": "application/vnd.google.protobuf"} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		Handler(someFamilies).ServeHTTP(w, r)
		if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, want) {
			t.Errorf("%q gets %q", accept, got)
		}
	}
}
