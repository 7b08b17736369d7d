package addresses

import (
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

// maxFile bounds the size of a file: about two million networks.
const maxFile = 32 << 20

// List is the set of the addresses in a file. A [Watcher] reads it again when the file changes.
type List struct {
	path string
	set  atomic.Pointer[Set]

	// The watcher's lock guards these.
	read stamp // of the file as it was last read, whether that succeeded or not
	seen stamp // of the file at the last look
	ill  string
}

// stamp tells one state of a file from another.
type stamp struct {
	info fs.FileInfo // nil if the file can't be looked at
	size int64
	at   time.Time
}

func stampOf(info fs.FileInfo) stamp { return stamp{info, info.Size(), info.ModTime()} }

// same reports whether s and other are stamps of the same file in the same state.
func (s stamp) same(other stamp) bool {
	if s.info == nil || other.info == nil {
		return s.info == nil && other.info == nil
	}
	return s.size == other.size && s.at.Equal(other.at) && os.SameFile(s.info, other.info)
}

// Has reports whether ip is in the list. It may be called concurrently.
func (l *List) Has(ip netip.Addr) bool { return l.set.Load().Has(ip) }

// Path returns the name of the file.
func (l *List) Path() string { return l.path }

// load reads the file. After an error the list keeps its addresses.
func (l *List) load() error {
	text, s, err := readFile(l.path)
	l.read, l.seen = s, s
	if err != nil {
		return err
	}
	networks, err := Parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", l.path, err)
	}
	l.set.Store(NewSet(networks))
	return nil
}

// readFile reads a whole file, with the stamp that it had before. It opens only regular files, since
// opening a pipe could wait for ever.
func readFile(path string) ([]byte, stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, stamp{}, err
	}
	s := stampOf(info)
	switch {
	case !info.Mode().IsRegular():
		return nil, s, fmt.Errorf("%s is not a file of addresses; name a regular file", path)
	case info.Size() > maxFile:
		return nil, s, tooLarge(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, s, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = tooLarge(path)
	}
	return text, s, err
}

func tooLarge(path string) error {
	return fmt.Errorf("%s is larger than 32 MiB; split it, or join its addresses into networks", path)
}
