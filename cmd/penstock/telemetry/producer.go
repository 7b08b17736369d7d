package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/penstock/penstock/proxy/observe"
)

// producer passes the gateway's metrics to OpenTelemetry on demand: the figures of /metrics, with
// exponential histograms.
type producer struct {
	gateway Gateway
	version string
	start   time.Time
}

var _ metric.Producer = (*producer)(nil)

func newProducer(g Gateway, version string) *producer {
	return &producer{gateway: g, version: version, start: time.Now()}
}

// Produce reads all metrics.
func (p *producer) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	now := time.Now()
	out := metricdata.ScopeMetrics{Scope: instrumentation.Scope{Name: "github.com/penstock/penstock", Version: p.version}}
	for _, f := range p.gateway.Metrics() {
		out.Metrics = append(out.Metrics, metricdata.Metrics{Name: f.Name, Description: f.Help, Unit: unit(f.Kind), Data: p.data(&f, now)})
	}
	return []metricdata.ScopeMetrics{out}, nil
}

func unit(k observe.Kind) string {
	if k == observe.Durations {
		return "s"
	}
	return ""
}

func (p *producer) data(f *observe.Family, now time.Time) metricdata.Aggregation {
	if f.Kind == observe.Durations {
		return p.histogram(f, now)
	}
	points := make([]metricdata.DataPoint[float64], len(f.Points))
	for i, point := range f.Points {
		points[i] = metricdata.DataPoint[float64]{Attributes: attributes(point.Labels), StartTime: p.start, Time: now, Value: point.Value}
	}
	if f.Kind == observe.Gauge {
		return metricdata.Gauge[float64]{DataPoints: points}
	}
	return metricdata.Sum[float64]{DataPoints: points, Temporality: metricdata.CumulativeTemporality, IsMonotonic: true}
}

// histogram converts f to an exponential histogram. Durations beyond the last bucket count in the
// last bucket; the sum has their full length.
func (p *producer) histogram(f *observe.Family, now time.Time) metricdata.Aggregation {
	points := make([]metricdata.ExponentialHistogramDataPoint[float64], len(f.Points))
	for i, point := range f.Points {
		h := point.Duration
		points[i] = metricdata.ExponentialHistogramDataPoint[float64]{
			Attributes: attributes(point.Labels), StartTime: p.start, Time: now,
			Count: h.Count, Sum: h.Sum.Seconds(), Scale: observe.Scale, ZeroCount: h.Buckets[0], ZeroThreshold: observe.Bound(0),
			PositiveBucket: metricdata.ExponentialBucket{Offset: observe.FirstIndex, Counts: h.Buckets[1:]},
		}
	}
	return metricdata.ExponentialHistogram[float64]{DataPoints: points, Temporality: metricdata.CumulativeTemporality}
}

func attributes(labels []observe.Label) attribute.Set {
	kvs := make([]attribute.KeyValue, len(labels))
	for i, l := range labels {
		kvs[i] = attribute.String(l.Name, l.Value)
	}
	return attribute.NewSet(kvs...)
}
