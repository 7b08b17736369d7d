package addresses

import (
	"log/slog"
	"os"
	"sync"
	"time"
)

// every is the time between two looks at the files. A file is read when two looks found it in the
// same new state, so that a list is not read while it is written.
const every = time.Second

// Watcher reads lists again when their files change. It looks at modification times and sizes,
// because notifications do not work on all file systems. It runs one goroutine while it has lists,
// and Close ends it.
type Watcher struct {
	log     *slog.Logger
	mu      sync.Mutex
	lists   map[string]*List // by path
	stop    chan struct{}    // nil if no goroutine runs
	running sync.WaitGroup
	closed  bool
}

// NewWatcher returns a Watcher of no lists, which logs to log.
func NewWatcher(log *slog.Logger) *Watcher { return &Watcher{log: log} }

// Open returns the list of a file. It reads the file only if it is not watched yet, so that a broken
// file in use does not keep a new configuration from running.
func (w *Watcher) Open(path string) (*List, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l := w.lists[path]; l != nil {
		return l, nil
	}
	l := &List{path: path}
	return l, l.load()
}

// Watch makes lists, by path, the watched ones. They come from Open.
func (w *Watcher) Watch(lists map[string]*List) {
	w.mu.Lock()
	w.lists = lists
	stop := w.stop
	switch {
	case w.closed:
	case len(lists) > 0 && stop == nil:
		stop = make(chan struct{})
		w.stop = stop
		w.running.Go(func() { w.run(stop) })
	case len(lists) == 0 && stop != nil:
		close(stop)
		w.stop = nil
	}
	w.mu.Unlock()
}

// Close ends the watching and waits for its goroutine. The lists keep their addresses.
func (w *Watcher) Close() {
	w.mu.Lock()
	w.closed = true
	if w.stop != nil {
		close(w.stop)
		w.stop = nil
	}
	w.mu.Unlock()
	w.running.Wait()
}

func (w *Watcher) run(stop <-chan struct{}) {
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

// look reads the lists whose files have changed and stand still.
func (w *Watcher) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lists {
		info, err := os.Stat(l.path)
		if err != nil {
			l.seen, l.read = stamp{}, stamp{} // a file that comes back is read
			w.report(l, err)
			continue
		}
		now := stampOf(info)
		still := now.same(l.seen)
		if l.seen = now; !still || now.same(l.read) {
			continue
		}
		if err := l.load(); err != nil {
			w.report(l, err)
			continue
		}
		l.ill = ""
		w.log.Info("a changed file of addresses is in force", "file", l.path)
	}
}

// report logs once for each mistake why a file is not used.
func (w *Watcher) report(l *List, err error) {
	if l.ill == err.Error() {
		return
	}
	l.ill = err.Error()
	w.log.Error("a file of addresses can't be used; the addresses read before stay in force", "file", l.path, "error", err)
}
