package cost

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// fileVersion is that of the file's form.
const fileVersion = 1

// bookFile is what the file holds.
type bookFile struct {
	Version int             `json:"version"`
	Months  map[Month]*Kept `json:"months"`
}

// ErrInUse is returned while another process keeps its account in the file.
var ErrInUse = errors.New("another gateway keeps its account in this file")

// errForeign is why a file is neither read nor written over.
var errForeign = errors.New("this is not an account that this version can read; move it away, or name another file in cost.file")

// file is a book in a file, locked against other processes from when that is possible.
type file struct {
	path string
	lock *os.File // held; nil: not yet
}

// NewFile returns a Keeper that keeps a file, which is replaced whole for each batch and on disk when Add returns. Nothing is read or written before
// the first use, and while another process has the file all methods return ErrInUse: batches wait until that has ended.
func NewFile(path string) Keeper {
	f := &file{path: path}
	s := &solitary{place: "file"}
	s.write = f.write
	s.close = f.close
	s.open = func() (err error) {
		if f.lock == nil {
			s.book, err = f.open()
		}
		return err
	}
	return s
}

// open takes the lock and reads what is there.
func (f *file) open() (book, error) {
	lock, err := os.OpenFile(f.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return book{}, fmt.Errorf("locking the cost account: %w", err)
	}
	if err := lockFile(lock); err != nil {
		return book{}, errors.Join(fmt.Errorf("locking the cost account %s: %w", f.path, err), lock.Close())
	}
	b, err := readBook(f.path)
	if err != nil {
		return book{}, errors.Join(fmt.Errorf("reading the cost account: %w", err), lock.Close())
	}
	f.lock = lock
	return b, nil
}

func readBook(path string) (book, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return book{}, nil
	}
	if err != nil {
		return book{}, err
	}
	var content bookFile
	if err := json.Unmarshal(text, &content); err != nil || content.Version != fileVersion {
		return book{}, fmt.Errorf("%s: %w", path, errForeign)
	}
	for m, k := range content.Months {
		if _, ok := ParseMonth(string(m)); !ok || k == nil {
			return book{}, fmt.Errorf("%s: %w", path, errForeign)
		}
	}
	return book{content.Months}, nil
}

// write replaces the file in one step: whoever reads it, or finds it after a crash, sees the old account or the new one.
func (f *file) write(b book) error {
	text, err := json.Marshal(bookFile{fileVersion, b.months})
	if err != nil {
		return fmt.Errorf("writing the cost account: %w", err)
	}
	if err := replaceFile(f.path, text); err != nil {
		return fmt.Errorf("writing the cost account: %w", err)
	}
	return nil
}

func replaceFile(path string, text []byte) error {
	next := path + ".new"
	w, err := os.OpenFile(next, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	if err == nil {
		err = w.Sync()
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (f *file) close() error {
	if f.lock == nil {
		return nil
	}
	return f.lock.Close() // which unlocks it
}
