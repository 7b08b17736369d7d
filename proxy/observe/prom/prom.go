// Package prom writes metrics in the exposition formats of Prometheus.
package prom

import (
	"io"
	"math"
	"net/http"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/penstock/penstock/proxy/observe"
)

// Handler serves the result of gather in the format that the scraper requests. A scraper that
// accepts protobuf gets native histograms together with classic buckets.
func Handler(gather func() []observe.Family) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...)
		h := w.Header()
		h.Set("Content-Type", string(format))
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		_ = Write(w, format, gather()) // a disconnected scraper needs no answer
	})
}

// Write writes families to w.
func Write(w io.Writer, format expfmt.Format, families []observe.Family) error {
	enc := expfmt.NewEncoder(w, format)
	for i := range families {
		if len(families[i].Points) == 0 {
			continue
		}
		if err := enc.Encode(family(&families[i])); err != nil {
			return err
		}
	}
	if end, ok := enc.(expfmt.Closer); ok {
		return end.Close()
	}
	return nil
}

func family(f *observe.Family) *dto.MetricFamily {
	kind := map[observe.Kind]dto.MetricType{
		observe.Counter: dto.MetricType_COUNTER, observe.Gauge: dto.MetricType_GAUGE, observe.Durations: dto.MetricType_HISTOGRAM,
	}[f.Kind]
	out := &dto.MetricFamily{Name: &f.Name, Help: &f.Help, Type: &kind}
	for i := range f.Points {
		out.Metric = append(out.Metric, metric(f.Kind, &f.Points[i]))
	}
	return out
}

func metric(kind observe.Kind, p *observe.Point) *dto.Metric {
	m := &dto.Metric{}
	for i := range p.Labels {
		m.Label = append(m.Label, &dto.LabelPair{Name: &p.Labels[i].Name, Value: &p.Labels[i].Value})
	}
	switch kind {
	case observe.Counter:
		m.Counter = &dto.Counter{Value: &p.Value}
	case observe.Gauge:
		m.Gauge = &dto.Gauge{Value: &p.Value}
	case observe.Durations:
		m.Histogram = histogram(p.Duration)
	}
	return m
}

// classic lists the bounds for scrapers that know only classic buckets. They are bounds of
// Histogram too, so that the counts are exact. They are closest in the range of most requests.
var classic = []int{
	bound(-16), bound(-14), bound(-12), bound(-11), bound(-10), bound(-9), bound(-8), bound(-7), bound(-6), bound(-5), bound(-4), bound(-3), bound(-2),
	bound(-1), bound(0), bound(1), bound(2), bound(3), bound(5),
}

// bound returns the index of the bucket that ends at 2^power seconds.
func bound(power int) int { return power<<observe.Scale - observe.FirstIndex }

func histogram(h *observe.Histogram) *dto.Histogram {
	sum := h.Sum.Seconds()
	out := &dto.Histogram{SampleCount: &h.Count, SampleSum: &sum}
	var count uint64
	next := 0
	for i, n := range h.Buckets {
		count += n
		if next < len(classic) && classic[next] == i {
			limit, total := observe.Bound(i), count
			out.Bucket = append(out.Bucket, &dto.Bucket{CumulativeCount: &total, UpperBound: &limit})
			next++
		}
	}
	infinite, total := math.Inf(1), h.Count
	out.Bucket = append(out.Bucket, &dto.Bucket{CumulativeCount: &total, UpperBound: &infinite})
	native(out, h)
	return out
}

// native adds the native histogram. Durations below all buckets go into the zero bucket, and longer
// ones into a bucket above the last.
func native(out *dto.Histogram, h *observe.Histogram) {
	schema, threshold, zero := int32(observe.Scale), observe.Bound(0), h.Buckets[0]
	out.Schema, out.ZeroThreshold, out.ZeroCount = &schema, &threshold, &zero
	end, before := int32(0), int64(0) // end of the last span, and its last count
	for i := 1; i < observe.NBuckets; i++ {
		n := int64(h.Buckets[i])
		if n == 0 {
			continue
		}
		at := int32(i + observe.FirstIndex) // Prometheus' bucket `at` ends where OpenTelemetry's bucket at-1 does
		if spans := out.PositiveSpan; len(spans) > 0 && end == at {
			*spans[len(spans)-1].Length++
		} else {
			offset, length := at-end, uint32(1)
			out.PositiveSpan = append(spans, &dto.BucketSpan{Offset: &offset, Length: &length})
		}
		out.PositiveDelta = append(out.PositiveDelta, n-before)
		end, before = at+1, n
	}
	if len(out.PositiveSpan) == 0 { // this marks a native histogram without any observation
		offset, length := int32(0), uint32(0)
		out.PositiveSpan = []*dto.BucketSpan{{Offset: &offset, Length: &length}}
	}
}
