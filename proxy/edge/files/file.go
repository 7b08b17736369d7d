package files

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"time"
)

// maxFile bounds the size of a file.
const maxFile = 32 << 20

// File is the value of a file. A [Watcher] reads it again when the file changes.
type File[T any] struct {
	path  string
	value atomic.Pointer[T]

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

// Value returns the value of the file as it was last read with success. It may be called
// concurrently.
func (f *File[T]) Value() *T { return f.value.Load() }

// Path returns the name of the file.
func (f *File[T]) Path() string { return f.path }

// load reads the file. After an error the old value stays.
func (f *File[T]) load(of string, parse func([]byte) (*T, error)) error {
	text, s, err := readFile(f.path, of)
	f.read, f.seen = s, s
	if err != nil {
		return err
	}
	value, err := parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	f.value.Store(value)
	return nil
}

// readFile reads a whole file, with the stamp that it had before. It opens only regular files, since
// opening a pipe could wait for ever.
func readFile(path, of string) ([]byte, stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, stamp{}, err
	}
	s := stampOf(info)
	switch {
	case !info.Mode().IsRegular():
		return nil, s, fmt.Errorf("%s is not a file of %s; name a regular file", path, of)
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

func tooLarge(path string) error { return fmt.Errorf("%s is larger than 32 MiB; split it", path) }
