package observe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// AccessFormat is how a line of the access log is written.
type AccessFormat uint8

const (
	FormatJSON     AccessFormat = iota // an object
	FormatCommon                       // Common Log Format
	FormatCombined                     // the same with Referer and User-Agent
)

// AccessConfig says what is logged, and where to.
type AccessConfig struct {
	Output string // stdout, stderr, off, or a path
	Format AccessFormat
	Sample float64 // share of the requests that are logged; failed ones always are
}

const (
	accessBuffer = 1 << 20                // bytes that wait to be written, at most
	accessFull   = 64 << 10               // bytes that are written at once
	accessDelay  = 200 * time.Millisecond // how long a line waits for others
	accessOff    = "off"
)

// AccessLog writes a line for each request. It never keeps a request waiting: lines are collected in a buffer of bounded size, which a goroutine writes,
// and while the output takes nothing and the buffer is full lines are dropped and counted. The zero value is not ready: NewAccessLog.
type AccessLog struct {
	rule    atomic.Pointer[accessRule] // nil: nothing is logged
	dropped atomic.Uint64
	lines   sync.Pool // of *[]byte

	mu    sync.Mutex // guards ready, and stays short
	ready []byte

	wake   chan struct{} // there is something to write
	full   chan struct{} // and much of it
	flush  chan chan struct{}
	stop   chan struct{}
	ended  chan struct{}
	failed func(error)

	out    sync.Mutex // guards output: held while writing
	output output
}

// accessRule is what is in force of an AccessConfig.
type accessRule struct {
	format    AccessFormat
	threshold uint64 // of 63 random bits, those below are logged
}

// output is where lines go.
type output struct {
	io.Writer
	path string         // "": not a file of ours
	file io.WriteCloser // nil: nothing to close
}

var (
	_ Sink   = (*AccessLog)(nil)
	_ Source = (*AccessLog)(nil)
)

// NewAccessLog returns a log that logs nothing yet. Close ends it. failed is told of writes that failed; it may be nil.
func NewAccessLog(failed func(error)) *AccessLog {
	l := &AccessLog{
		wake: make(chan struct{}, 1), full: make(chan struct{}, 1), flush: make(chan chan struct{}), stop: make(chan struct{}), ended: make(chan struct{}),
		failed: failed,
	}
	l.lines.New = func() any { b := make([]byte, 0, 1024); return &b }
	go l.run()
	return l
}

// Prepare opens what c names, and returns what puts c in force, and what gives it up instead. One of them is to be called.
func (l *AccessLog) Prepare(c AccessConfig) (commit, abandon func(), err error) {
	next, err := openOutput(c.Output)
	if err != nil {
		return nil, nil, err
	}
	var rule *accessRule
	if c.Output != accessOff && c.Output != "" {
		rule = &accessRule{c.Format, uint64(min(max(c.Sample, 0), 1) * (1 << 63))}
	}
	commit = func() {
		l.rule.Store(rule)
		l.replace(next)
	}
	return commit, next.close, nil
}

func openOutput(where string) (output, error) {
	switch where {
	case accessOff, "":
		return output{Writer: io.Discard}, nil
	case "stdout":
		return output{Writer: os.Stdout}, nil
	case "stderr":
		return output{Writer: os.Stderr}, nil
	}
	f, err := os.OpenFile(where, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return output{}, fmt.Errorf("opening the access log: %w", err)
	}
	return output{f, where, f}, nil
}

func (o output) close() {
	if o.file != nil {
		_ = o.file.Close() // what could not be written has been said already
	}
}

// replace writes what is waiting to where it was meant for, and goes on with next.
func (l *AccessLog) replace(next output) {
	l.Flush()
	l.out.Lock()
	old := l.output
	l.output = next
	l.out.Unlock()
	old.close()
}

// Reopen opens the log's file again, after it was renamed.
func (l *AccessLog) Reopen() error {
	l.out.Lock()
	path := l.output.path
	l.out.Unlock()
	if path == "" {
		return nil
	}
	next, err := openOutput(path)
	if err != nil {
		return err
	}
	l.replace(next)
	return nil
}

// Dropped is the number of lines that were dropped.
func (l *AccessLog) Dropped() uint64 { return l.dropped.Load() }

// Metrics tells of lines that were dropped.
func (l *AccessLog) Metrics(add func(Family)) {
	add(One(Counter, "penstock_access_log_dropped_lines_total", "Lines of the access log that were dropped because its output took no more.", float64(l.Dropped())))
}

// Finish logs a request that a handler answered.
func (l *AccessLog) Finish(e *Event, r *http.Request) {
	if rule := l.wants(e.Status >= 500 || e.Err != nil); rule != nil {
		line := l.lines.Get().(*[]byte)
		entry := entryOf(e, r)
		*line = entry.append((*line)[:0], rule.format)
		l.put(line)
	}
}

// Hit logs a request that a connection answered.
func (l *AccessLog) Hit(h *Hit) {
	if rule := l.wants(false); rule != nil {
		line := l.lines.Get().(*[]byte)
		entry := entryOfHit(h)
		*line = entry.append((*line)[:0], rule.format)
		l.put(line)
	}
}

// wants gives the rule by which a request is logged; nil: it is not.
func (l *AccessLog) wants(failed bool) *accessRule {
	rule := l.rule.Load()
	if rule == nil || !failed && rand.Uint64()&math.MaxInt64 >= rule.threshold {
		return nil
	}
	return rule
}

// put adds a line to those that wait, or drops it.
func (l *AccessLog) put(line *[]byte) {
	l.mu.Lock()
	before := len(l.ready)
	fits := before+len(*line) <= accessBuffer
	if fits {
		l.ready = append(l.ready, *line...)
	}
	after := len(l.ready)
	l.mu.Unlock()
	l.lines.Put(line)
	switch {
	case !fits:
		l.dropped.Add(1)
	case before == 0:
		signal(l.wake)
	case before < accessFull && after >= accessFull:
		signal(l.full)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run writes what waits: soon after there is something, at once when there is much.
func (l *AccessLog) run() {
	defer close(l.ended)
	delay := time.NewTimer(0)
	defer delay.Stop()
	<-delay.C
	var spare []byte
	for {
		select {
		case <-l.wake:
			delay.Reset(accessDelay)
			select {
			case <-delay.C:
			case <-l.full:
			case done := <-l.flush:
				spare = l.write(spare)
				close(done)
				continue
			case <-l.stop:
			}
			spare = l.write(spare)
		case done := <-l.flush:
			spare = l.write(spare)
			close(done)
		case <-l.stop:
			l.write(spare)
			return
		}
	}
}

// write writes what waits, with empty taking its place, and gives back its buffer.
func (l *AccessLog) write(empty []byte) []byte {
	l.mu.Lock()
	lines := l.ready
	l.ready = empty[:0]
	l.mu.Unlock()
	if len(lines) == 0 {
		return lines
	}
	l.out.Lock()
	_, err := l.output.Write(lines)
	l.out.Unlock()
	if err != nil && l.failed != nil && !errors.Is(err, os.ErrClosed) {
		l.failed(err)
	}
	return lines
}

// Flush waits until all lines so far are written.
func (l *AccessLog) Flush() {
	done := make(chan struct{})
	select {
	case l.flush <- done:
		<-done
	case <-l.ended:
	}
}

// Close writes what waits, and closes the log. It waits for an output that takes nothing no longer than ctx.
func (l *AccessLog) Close(ctx context.Context) error {
	l.rule.Store(nil)
	close(l.stop)
	select {
	case <-l.ended:
		l.output.close()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the access log is not written to its end: %w", ctx.Err())
	}
}
