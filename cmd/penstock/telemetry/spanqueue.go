package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/penstock/penstock/proxy/observe"
)

// spanQueue sends spans in batches. While the collector accepts no spans, they wait in a bounded
// queue. spanQueue drops and counts the spans that find the queue full and the spans that the
// collector refuses. The SDK's batch processor does the same, but does not count.
type spanQueue struct {
	exporter sdktrace.SpanExporter
	log      *slog.Logger
	delay    time.Duration // how long a span waits for a full batch
	timeout  time.Duration // of one batch
	batch    int

	queue   chan sdktrace.ReadOnlySpan
	dropped atomic.Uint64
	sent    atomic.Uint64
	ctx     context.Context // of exports; cancelled when the time for the last export is over
	cut     context.CancelFunc
	stop    chan struct{}
	once    sync.Once
	ended   chan struct{}
}

var (
	_ sdktrace.SpanProcessor = (*spanQueue)(nil)
	_ observe.Source         = (*spanQueue)(nil)
)

// newSpanQueue starts a queue in front of exporter. OTEL_BSP_* set its bounds.
func newSpanQueue(exporter sdktrace.SpanExporter, env environment, log *slog.Logger) *spanQueue {
	q := &spanQueue{
		exporter: exporter, log: log,
		delay:   time.Duration(env.positive("OTEL_BSP_SCHEDULE_DELAY", 5000)) * time.Millisecond,
		timeout: time.Duration(env.positive("OTEL_BSP_EXPORT_TIMEOUT", 30000)) * time.Millisecond,
		batch:   env.positive("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512),
		queue:   make(chan sdktrace.ReadOnlySpan, env.positive("OTEL_BSP_MAX_QUEUE_SIZE", 2048)),
		stop:    make(chan struct{}), ended: make(chan struct{}),
	}
	q.ctx, q.cut = context.WithCancel(context.Background())
	go q.run()
	return q
}

// OnStart does nothing: a span is queued when it ends.
func (*spanQueue) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd queues s, or drops it if the queue is full or stopped.
func (q *spanQueue) OnEnd(s sdktrace.ReadOnlySpan) {
	select {
	case <-q.stop:
		q.dropped.Add(1)
		return
	default:
	}
	select {
	case q.queue <- s:
	default:
		q.dropped.Add(1)
	}
}

func (q *spanQueue) run() {
	defer close(q.ended)
	batch := make([]sdktrace.ReadOnlySpan, 0, q.batch)
	tick := time.NewTicker(q.delay)
	defer tick.Stop()
	for {
		select {
		case s := <-q.queue:
			if batch = append(batch, s); len(batch) < q.batch {
				continue
			}
		case <-tick.C:
		case <-q.stop:
			q.drain(batch)
			return
		}
		q.export(batch)
		batch = batch[:0]
	}
}

// drain sends the queued spans.
func (q *spanQueue) drain(batch []sdktrace.ReadOnlySpan) {
	for {
		select {
		case s := <-q.queue:
			if batch = append(batch, s); len(batch) < q.batch {
				continue
			}
			q.export(batch)
			batch = batch[:0]
		default:
			q.export(batch)
			return
		}
	}
}

func (q *spanQueue) export(batch []sdktrace.ReadOnlySpan) {
	if len(batch) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(q.ctx, q.timeout)
	defer cancel()
	if err := q.exporter.ExportSpans(ctx, batch); err != nil {
		q.dropped.Add(uint64(len(batch)))
		q.log.Warn("spans could not be sent", "error", err)
		return
	}
	q.sent.Add(uint64(len(batch)))
}

// Shutdown sends the queued spans, until ctx ends, and closes the exporter.
func (q *spanQueue) Shutdown(ctx context.Context) error {
	q.once.Do(func() { close(q.stop) })
	defer q.cut()
	select {
	case <-q.ended:
	case <-ctx.Done():
		q.cut()
		<-q.ended
	}
	return q.exporter.Shutdown(ctx)
}

// ForceFlush does nothing: Shutdown flushes the queue.
func (*spanQueue) ForceFlush(context.Context) error { return nil }

// Metrics counts the spans that were sent, dropped and are waiting.
func (q *spanQueue) Metrics(add func(observe.Family)) {
	add(observe.One(observe.Counter, "penstock_spans_sent_total", "Spans that the collector accepted.", float64(q.sent.Load())))
	add(observe.One(observe.Counter, "penstock_spans_dropped_total", "Spans dropped because the queue was full or the collector did not accept them.", float64(q.dropped.Load())))
	add(observe.One(observe.Gauge, "penstock_spans_waiting", "Spans waiting to be sent.", float64(len(q.queue))))
}
