package observe

import (
	"bytes"
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

// AccessFormat is the format of a line in the access log.
type AccessFormat uint8

const (
	FormatJSON     AccessFormat = iota // a JSON object
	FormatCommon                       // Common Log Format
	FormatCombined                     // Common Log Format with Referer and User-Agent
)

// AccessConfig says which requests are logged, and where.
type AccessConfig struct {
	Output string // stdout, stderr, off, or a path
	Format AccessFormat
	Sample float64 // share of the requests that are logged; failed requests are always logged
}

const (
	accessBuffer = 1 << 20                // largest number of bytes that wait to be written
	accessFull   = 64 << 10               // number of bytes from which they are written at once
	accessDelay  = 200 * time.Millisecond // how long a line waits for others
	accessOff    = "off"
)

// AccessLog writes a line for each request. It never delays a request: it collects lines in a
// bounded buffer, which a goroutine writes. If the output accepts nothing and the buffer is full,
// AccessLog drops lines and counts them. The zero value is not usable; call NewAccessLog.
type AccessLog struct {
	rule    atomic.Pointer[accessRule] // nil: nothing is logged
	dropped atomic.Uint64
	lines   sync.Pool // of *[]byte

	mu    sync.Mutex // guards ready; held only briefly
	ready []byte

	wake   chan struct{} // signals that there are lines to write
	full   chan struct{} // signals that there are many
	flush  chan chan struct{}
	stop   chan struct{}
	ended  chan struct{}
	failed func(error)

	out    sync.Mutex // guards output; held while writing
	output output
}

// accessRule is the part of an AccessConfig that applies to each request.
type accessRule struct {
	format    AccessFormat
	threshold uint64 // of 63 random bits; a smaller number is logged
}

// output is the destination of the lines.
type output struct {
	io.Writer
	path string         // "": not a file that this package opened
	file io.WriteCloser // nil: nothing to close
}

var (
	_ Sink   = (*AccessLog)(nil)
	_ Source = (*AccessLog)(nil)
)

// NewAccessLog returns a log that logs nothing until Prepare's commit. The caller must call Close.
// failed is called for each failed write; it may be nil.
func NewAccessLog(failed func(error)) *AccessLog {
	l := &AccessLog{
		wake: make(chan struct{}, 1), full: make(chan struct{}, 1), flush: make(chan chan struct{}), stop: make(chan struct{}), ended: make(chan struct{}),
		failed: failed,
	}
	l.lines.New = func() any { b := make([]byte, 0, 1024); return &b }
	go l.run()
	return l
}

// Prepare opens the output of c. It returns commit, which puts c into force, and abandon, which
// closes the output instead. The caller must call one of them.
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
		return output{}, fmt.Errorf("open the access log: %w", err)
	}
	return output{f, where, f}, nil
}

func (o output) close() {
	if o.file != nil {
		_ = o.file.Close() // a failed write has already been reported
	}
}

// replace writes the waiting lines to the old output and then switches to next.
func (l *AccessLog) replace(next output) {
	l.Flush()
	l.out.Lock()
	old := l.output
	l.output = next
	l.out.Unlock()
	old.close()
}

// Reopen opens the log's file again after it was renamed.
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

// Dropped returns the number of dropped lines.
func (l *AccessLog) Dropped() uint64 { return l.dropped.Load() }

// Metrics reports the number of dropped lines.
func (l *AccessLog) Metrics(add func(Family)) {
	add(One(Counter, "penstock_access_log_dropped_lines_total", "Access log lines that were dropped because the output was too slow or failed.", float64(l.Dropped())))
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

// Hit logs a request that a connection answered from memory.
func (l *AccessLog) Hit(h *Hit) {
	if rule := l.wants(false); rule != nil {
		line := l.lines.Get().(*[]byte)
		entry := entryOfHit(h)
		*line = entry.append((*line)[:0], rule.format)
		l.put(line)
	}
}

// wants returns the rule for logging a request, or nil if the request is not logged.
func (l *AccessLog) wants(failed bool) *accessRule {
	rule := l.rule.Load()
	if rule == nil || !failed && rand.Uint64()&math.MaxInt64 >= rule.threshold {
		return nil
	}
	return rule
}

// put adds a line to the waiting ones, or drops it.
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

// run writes the waiting lines: shortly after the first one, or at once if there are many.
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

// write writes the waiting lines, replaces their buffer by empty, and returns their buffer.
func (l *AccessLog) write(empty []byte) []byte {
	l.mu.Lock()
	lines := l.ready
	l.ready = empty[:0]
	l.mu.Unlock()
	if len(lines) == 0 {
		return lines
	}
	l.out.Lock()
	n, err := l.output.Write(lines)
	l.out.Unlock()
	if err != nil {
		l.dropped.Add(uint64(bytes.Count(lines[n:], []byte{'\n'}))) // a partly written line counts as lost
	}
	if err != nil && l.failed != nil && !errors.Is(err, os.ErrClosed) {
		l.failed(err)
	}
	return lines
}

// Flush waits until all previous lines are written.
func (l *AccessLog) Flush() {
	done := make(chan struct{})
	select {
	case l.flush <- done:
		<-done
	case <-l.ended:
	}
}

// Close writes the waiting lines and closes the log. If the output accepts nothing, it stops
// waiting when ctx ends.
func (l *AccessLog) Close(ctx context.Context) error {
	l.rule.Store(nil)
	close(l.stop)
	select {
	case <-l.ended:
		l.output.close()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("write the last lines of the access log: %w", ctx.Err())
	}
}
