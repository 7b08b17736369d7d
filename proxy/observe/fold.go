package observe

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// foldFor is how long a logged cause is not logged again.
	foldFor = 10 * time.Second
	// maxCauses bounds the number of remembered causes. Further ones are logged every time.
	maxCauses = 256
)

// Folder is a slog.Handler that logs each cause once. It counts repetitions within ten seconds and
// reports their number in one line at the end of this time. A cause is a message with all its
// attributes. Records below the level of a warning pass unchanged.
type Folder struct {
	next   slog.Handler
	prefix string // part of the cause that WithAttrs and WithGroup have added
	state  *folding
}

// folding is the state that all Folders of one log share.
type folding struct {
	mu     sync.Mutex
	causes map[string]*repeats
	folded atomic.Uint64
}

// repeats counts the repetitions of a logged cause.
type repeats struct {
	count int
	last  slog.Record
	timer *time.Timer
}

var (
	_ slog.Handler = (*Folder)(nil)
	_ Source       = (*Folder)(nil)
)

// Fold returns a Folder in front of next. Close reports the pending counts.
func Fold(next slog.Handler) *Folder {
	return &Folder{next: next, state: &folding{causes: make(map[string]*repeats)}}
}

// Enabled asks next.
func (f *Folder) Enabled(ctx context.Context, level slog.Level) bool {
	return f.next.Enabled(ctx, level)
}

// WithAttrs returns a Folder whose records have attrs.
func (f *Folder) WithAttrs(attrs []slog.Attr) slog.Handler {
	var b strings.Builder
	for _, a := range attrs {
		b.WriteString(a.String() + "\x00")
	}
	return &Folder{f.next.WithAttrs(attrs), f.prefix + b.String(), f.state}
}

// WithGroup returns a Folder whose records' attributes are in a group.
func (f *Folder) WithGroup(name string) slog.Handler {
	return &Folder{f.next.WithGroup(name), f.prefix + name + "\x01", f.state}
}

// Handle passes r on, or counts it.
func (f *Folder) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn && f.repeated(r) {
		return nil
	}
	return f.next.Handle(ctx, r)
}

// repeated reports whether the cause of r was logged recently. If so, it counts r.
func (f *Folder) repeated(r slog.Record) bool {
	cause := f.cause(r)
	f.state.mu.Lock()
	defer f.state.mu.Unlock()
	if known := f.state.causes[cause]; known != nil {
		known.count++
		known.last = r
		f.state.folded.Add(1)
		return true
	}
	if len(f.state.causes) < maxCauses {
		f.state.causes[cause] = &repeats{timer: time.AfterFunc(foldFor, func() { f.report(cause) })}
	}
	return false
}

func (f *Folder) cause(r slog.Record) string {
	var b strings.Builder
	b.WriteString(f.prefix + r.Level.String() + "\x00" + r.Message)
	r.Attrs(func(a slog.Attr) bool {
		b.WriteString("\x00" + a.String())
		return true
	})
	return b.String()
}

// report logs how often cause has been repeated, and forgets it.
func (f *Folder) report(cause string) {
	f.state.mu.Lock()
	known := f.state.causes[cause]
	delete(f.state.causes, cause)
	f.state.mu.Unlock()
	if known == nil {
		return
	}
	known.timer.Stop()
	if known.count == 0 {
		return
	}
	r := known.last.Clone()
	r.AddAttrs(slog.Int("repeated", known.count))
	_ = f.next.Handle(context.Background(), r) // a failing log can't be reported
}

// Close reports all pending counts.
func (f *Folder) Close() {
	f.state.mu.Lock()
	causes := make([]string, 0, len(f.state.causes))
	for cause := range f.state.causes {
		causes = append(causes, cause)
	}
	f.state.mu.Unlock()
	for _, cause := range causes {
		f.report(cause)
	}
}

// Metrics reports the number of folded lines.
func (f *Folder) Metrics(add func(Family)) {
	add(One(Counter, "penstock_log_folded_lines_total", "Log lines that repeated a cause and were counted instead of written.", float64(f.state.folded.Load())))
}
