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
	// foldFor is how long a cause that has been logged is not logged again.
	foldFor = 10 * time.Second
	// maxCauses bounds the causes that are remembered. What comes beyond them is logged as it comes.
	maxCauses = 256
)

// Folder is a slog.Handler that logs each cause once: what repeats within ten seconds is counted, and told of in one line at their end. A cause is a message
// with all of its attributes. What is less than a warning is passed on as it is.
type Folder struct {
	next   slog.Handler
	prefix string // of the cause: what WithAttrs and WithGroup have added
	state  *folding
}

// folding is what all Folders of one log share.
type folding struct {
	mu     sync.Mutex
	causes map[string]*repeats
	folded atomic.Uint64
}

// repeats is a cause that was logged.
type repeats struct {
	count int
	last  slog.Record
	timer *time.Timer
}

var (
	_ slog.Handler = (*Folder)(nil)
	_ Source       = (*Folder)(nil)
)

// Fold returns a Folder in front of next. Close tells of what is still being counted.
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

// repeated reports whether r was logged a short while ago, and counts it then.
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
		f.state.causes[cause] = &repeats{timer: time.AfterFunc(foldFor, func() { f.tell(cause) })}
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

// tell logs how often cause has repeated, and forgets it.
func (f *Folder) tell(cause string) {
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
	_ = f.next.Handle(context.Background(), r) // a log that can't be written to is told of by nobody
}

// Close tells of all that is being counted.
func (f *Folder) Close() {
	f.state.mu.Lock()
	causes := make([]string, 0, len(f.state.causes))
	for cause := range f.state.causes {
		causes = append(causes, cause)
	}
	f.state.mu.Unlock()
	for _, cause := range causes {
		f.tell(cause)
	}
}

// Metrics tells of lines that were folded into others.
func (f *Folder) Metrics(add func(Family)) {
	add(One(Counter, "penstock_log_folded_lines_total", "Lines of the log that repeated a cause, and were counted instead.", float64(f.state.folded.Load())))
}
