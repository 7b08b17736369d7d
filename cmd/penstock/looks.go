package main

import (
	"os"
	"time"
)

const (
	// lookEvery is the interval at which the watcher checks its files by itself. Notifications miss
	// some changes: a directory that disappears for a moment, or a parent directory that is
	// replaced or mounted. On network file systems they miss all changes.
	lookEvery = 2 * time.Second
	// contentEvery is the number of checks after which the contents are compared even if no check
	// found a change: a file can change and keep its size and modification time.
	contentEvery = 15
)

// looks detects changed files from their size, modification time and identity, without reading
// them.
type looks struct {
	seen  map[string]os.FileInfo // at the last check; nil if the file did not exist
	until int                    // checks left until the contents are compared
}

// due checks the files and reports whether their contents must be compared: because a file looks
// changed, because it is checked for the first time (it may have changed since it was read), or
// because contentEvery checks have passed.
func (l *looks) due(files []string) bool {
	now := make(map[string]os.FileInfo, len(files))
	changed := false
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			info = nil
		}
		now[f] = info
		if was, known := l.seen[f]; !known || !sameState(was, info) {
			changed = true
		}
	}
	l.seen = now
	if l.until--; changed || l.until < 0 {
		l.until = contentEvery
		return true
	}
	return false
}

// sameState reports whether a and b describe the same file, unwritten between the two.
func sameState(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
