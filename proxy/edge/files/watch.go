package files

import (
	"log/slog"
	"os"
	"sync"
	"time"
)

// every is the time between two looks at the files. A file is read when two looks found it in the
// same new state, so that it is not read while it is written.
const every = time.Second

// Watcher reads files again when they change. It looks at modification times and sizes, because
// notifications do not work on all file systems. It runs one goroutine while it has files, and Close
// ends it.
type Watcher[T any] struct {
	of      string
	parse   func([]byte) (*T, error)
	log     *slog.Logger
	mu      sync.Mutex
	files   map[string]*File[T] // by path
	stop    chan struct{}       // nil if no goroutine runs
	running sync.WaitGroup
	closed  bool
}

// NewWatcher returns a Watcher of no files. Messages call the content by the plural of, such as
// addresses. The errors of parse must not repeat a secret, because the Watcher logs them.
func NewWatcher[T any](of string, parse func([]byte) (*T, error), log *slog.Logger) *Watcher[T] {
	return &Watcher[T]{of: of, parse: parse, log: log}
}

// Open returns the value of a file. It reads the file only if it is not watched yet, so that a broken
// file in use does not keep a new configuration from running.
func (w *Watcher[T]) Open(path string) (*File[T], error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f := w.files[path]; f != nil {
		return f, nil
	}
	f := &File[T]{path: path}
	return f, f.load(w.of, w.parse)
}

// Watch makes files, by path, the watched ones. They come from Open.
func (w *Watcher[T]) Watch(files map[string]*File[T]) {
	w.mu.Lock()
	w.files = files
	stop := w.stop
	switch {
	case w.closed:
	case len(files) > 0 && stop == nil:
		stop = make(chan struct{})
		w.stop = stop
		w.running.Go(func() { w.run(stop) })
	case len(files) == 0 && stop != nil:
		close(stop)
		w.stop = nil
	}
	w.mu.Unlock()
}

// Close ends the watching and waits for its goroutine. The files keep their values.
func (w *Watcher[T]) Close() {
	w.mu.Lock()
	w.closed = true
	if w.stop != nil {
		close(w.stop)
		w.stop = nil
	}
	w.mu.Unlock()
	w.running.Wait()
}

func (w *Watcher[T]) run(stop <-chan struct{}) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			w.look()
		}
	}
}

// look reads the files that have changed and stand still.
func (w *Watcher[T]) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.files {
		info, err := os.Stat(f.path)
		if err != nil {
			f.seen, f.read = stamp{}, stamp{} // a file that comes back is read
			w.report(f, err)
			continue
		}
		now := stampOf(info)
		still := now.same(f.seen)
		if f.seen = now; !still || now.same(f.read) {
			continue
		}
		if err := f.load(w.of, w.parse); err != nil {
			w.report(f, err)
			continue
		}
		f.ill = ""
		w.log.Info("a changed file of "+w.of+" is in force", "file", f.path)
	}
}

// report logs once for each mistake why a file is not used.
func (w *Watcher[T]) report(f *File[T], err error) {
	if f.ill == err.Error() {
		return
	}
	f.ill = err.Error()
	w.log.Error("a file of "+w.of+" can't be used; the "+w.of+" read before stay in force", "file", f.path, "error", err)
}
