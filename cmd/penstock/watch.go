package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long after the first sign of a change the files are looked at. Editors and Kubernetes change a file in
// several steps.
const settle = 150 * time.Millisecond

// watcher says when files may have changed. It watches their directories, since a file that is replaced is another file.
// It says so too often rather than not at all: who listens compares contents.
type watcher struct {
	fs      *fsnotify.Watcher
	log     *slog.Logger
	changes chan struct{}
	done    chan struct{}
}

func newWatcher(log *slog.Logger) (*watcher, error) {
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	w := &watcher{fs: fs, log: log, changes: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w, nil
}

// follow watches exactly what the files need.
func (w *watcher) follow(files []string) {
	var want []string
	for _, f := range files {
		want = append(want, directoriesOf(f)...)
	}
	for _, dir := range w.fs.WatchList() {
		if !slices.Contains(want, dir) {
			_ = w.fs.Remove(dir) // an error means that it has gone by itself
		}
	}
	for _, dir := range want {
		if err := w.fs.Add(dir); err != nil {
			w.log.Warn("changes of files cannot be seen; SIGHUP still reloads", "directory", dir, "error", err)
		}
	}
}

// directoriesOf lists the directories in which a change can put another file at this path: its own, and that of each
// symbolic link on the way to it.
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

// firstLink splits a path after the first of its elements that is a symbolic link.
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

// run turns bursts of events into single words on changes, until the watcher is closed.
func (w *watcher) run() {
	defer close(w.done)
	var due <-chan time.Time
	for {
		select {
		case _, ok := <-w.fs.Events:
			if !ok {
				return
			}
			if due == nil {
				due = time.After(settle)
			}
		case err, ok := <-w.fs.Errors:
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
	w.fs.Close()
	<-w.done
}
