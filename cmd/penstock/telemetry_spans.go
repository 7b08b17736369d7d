package main

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/penstock/penstock/proxy/observe"
)

// spanQueue sends spans in batches. While the collector takes none, spans wait in a queue of bounded length; what comes when that is full, and what the
// collector refuses, is dropped and counted. The batch processor of the SDK does the same but for the counting.
type spanQueue struct {
	exporter sdktrace.SpanExporter
	log      *slog.Logger
	delay    time.Duration // how long a span waits for others
	timeout  time.Duration // of one batch
	batch    int

	queue   chan sdktrace.ReadOnlySpan
	dropped atomic.Uint64
	sent    atomic.Uint64
	ctx     context.Context // of exports; ended when the time for the last one is over
	cut     context.CancelFunc
	stop    chan struct{}
	once    sync.Once
	ended   chan struct{}
}

var (
	_ sdktrace.SpanProcessor = (*spanQueue)(nil)
	_ observe.Source         = (*spanQueue)(nil)
)

// newSpanQueue starts a queue in front of exporter. Its bounds are those of OTEL_BSP_*.
func newSpanQueue(exporter sdktrace.SpanExporter, env lookup, log *slog.Logger) *spanQueue {
	q := &spanQueue{
		exporter: exporter, log: log,
		delay:   time.Duration(whole(env, "OTEL_BSP_SCHEDULE_DELAY", 5000)) * time.Millisecond,
		timeout: time.Duration(whole(env, "OTEL_BSP_EXPORT_TIMEOUT", 30000)) * time.Millisecond,
		batch:   whole(env, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512),
		queue:   make(chan sdktrace.ReadOnlySpan, whole(env, "OTEL_BSP_MAX_QUEUE_SIZE", 2048)),
		stop:    make(chan struct{}), ended: make(chan struct{}),
	}
	q.ctx, q.cut = context.WithCancel(context.Background())
	go q.run()
	return q
}

// whole reads a positive number from the environment.
func whole(env lookup, name string, otherwise int) int {
	if n, err := strconv.Atoi(variable(env, name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// OnStart does nothing: spans are made when they are over.
func (*spanQueue) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd queues s, or drops it.
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

// drain sends what is left.
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
		q.log.Warn("spans were not sent", "error", err)
		return
	}
	q.sent.Add(uint64(len(batch)))
}

// Shutdown sends what is left, until ctx ends.
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

// ForceFlush is not for this queue: Shutdown is.
func (*spanQueue) ForceFlush(context.Context) error { return nil }

// Metrics tells of spans that were sent and dropped.
func (q *spanQueue) Metrics(add func(observe.Family)) {
	add(observe.One(observe.Counter, "penstock_spans_sent_total", "Spans that the collector has taken.", float64(q.sent.Load())))
	add(observe.One(observe.Counter, "penstock_spans_dropped_total", "Spans that were dropped: the queue was full, or the collector did not take them.", float64(q.dropped.Load())))
	add(observe.One(observe.Gauge, "penstock_spans_waiting", "Spans that wait to be sent.", float64(len(q.queue))))
}
