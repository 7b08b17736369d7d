package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is the delay between the first sign of a change and the reading of the files. Editors and
// Kubernetes change a file in several steps.
const settle = 150 * time.Millisecond

// watcher sends on changes when files may have changed. It watches the directories of the files,
// because a replaced file has a new inode, and also checks the files every lookEvery. A false alarm
// does no harm: the receiver compares the contents.
type watcher struct {
	fs      *fsnotify.Watcher // nil if the system gives no notifications
	log     *slog.Logger
	changes chan struct{}
	stop    chan struct{}
	done    chan struct{}

	mu     sync.Mutex
	files  []string
	inodes map[string]os.FileInfo // of the watched directories; nil if a directory cannot be watched, which has been logged
}

func newWatcher(log *slog.Logger, every time.Duration) *watcher {
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("the system sends no notifications about files; checking them periodically instead", "every", every, "error", err)
		fs = nil
	}
	return watchWith(fs, log, every)
}

func watchWith(fs *fsnotify.Watcher, log *slog.Logger, every time.Duration) *watcher {
	w := &watcher{fs: fs, log: log, changes: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}), inodes: make(map[string]os.FileInfo)}
	go w.run(every)
	return w
}

// follow makes files the set of watched files.
func (w *watcher) follow(files []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.files = files
	if w.fs == nil {
		return
	}
	var want []string
	for _, f := range files {
		want = append(want, directoriesOf(f)...)
	}
	for dir := range w.inodes {
		if !slices.Contains(want, dir) {
			_ = w.fs.Remove(dir) // an error means that the directory no longer exists
			delete(w.inodes, dir)
		}
	}
	for _, dir := range want {
		w.watch(dir)
	}
}

// watch watches the directory that is at a path now. The path may have named a different directory
// before. The caller holds the lock.
func (w *watcher) watch(dir string) {
	now, err := os.Stat(dir)
	if err != nil {
		return // the directory is gone; the next periodic check finds out
	}
	was, known := w.inodes[dir]
	if known && was != nil && !os.SameFile(was, now) {
		_ = w.fs.Remove(dir)
	}
	if err := w.fs.Add(dir); err != nil {
		if !known || was != nil {
			w.log.Warn("the system sends no notifications for a directory; checking its files periodically instead", "directory", dir, "error", err)
		}
		now = nil
	}
	w.inodes[dir] = now
}

// followed returns the watched files.
func (w *watcher) followed() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.files
}

// directoriesOf lists the existing directories in which a change can put another file at this path:
// the file's own directory, and those of each symbolic link on the path and of its target.
func directoriesOf(file string) []string {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil
	}
	dirs := []string{filepath.Dir(file)}
	for range 40 { // as many links as the kernel follows
		link, rest, ok := firstLink(file)
		if !ok {
			break
		}
		target, err := os.Readlink(link)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(link), target)
		}
		file = filepath.Join(target, rest)
		dirs = append(dirs, filepath.Dir(link), filepath.Dir(file))
	}
	slices.Sort(dirs)
	return slices.DeleteFunc(slices.Compact(dirs), func(dir string) bool {
		_, err := os.Stat(dir)
		return errors.Is(err, os.ErrNotExist)
	})
}

// firstLink splits a path after its first element that is a symbolic link. ok is false if there is
// no such element or the path does not exist.
func firstLink(file string) (link, rest string, ok bool) {
	for i := 1; i <= len(file); i++ {
		if i < len(file) && file[i] != filepath.Separator {
			continue
		}
		info, err := os.Lstat(file[:i])
		if err != nil {
			return "", "", false
		}
		if info.Mode()&os.ModeSymlink != 0 {
			return file[:i], strings.TrimPrefix(file[i:], string(filepath.Separator)), true
		}
	}
	return "", "", false
}

// run turns each burst of events into one send on changes, until the watcher is closed.
func (w *watcher) run(every time.Duration) {
	defer close(w.done)
	var due <-chan time.Time
	var events chan fsnotify.Event
	var errs chan error
	if w.fs != nil {
		events, errs = w.fs.Events, w.fs.Errors
	}
	look := time.NewTicker(every)
	defer look.Stop()
	l := looks{until: contentEvery}
	for {
		select {
		case <-w.stop:
			return
		case <-look.C:
			if l.due(w.followed()) && due == nil {
				due = time.After(settle)
			}
		case _, ok := <-events:
			if !ok {
				return
			}
			if due == nil {
				due = time.After(settle)
			}
		case err, ok := <-errs:
			if !ok {
				return
			}
			w.log.Warn("watching files", "error", err)
			due = time.After(settle) // events may have been lost
		case <-due:
			due = nil
			select {
			case w.changes <- struct{}{}:
			default:
			}
		}
	}
}

func (w *watcher) close() {
	close(w.stop)
	<-w.done
	if w.fs != nil {
		w.fs.Close()
	}
}
