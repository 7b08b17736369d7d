package cost

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
)

// fileVersion is the version of the file format.
const fileVersion = 1

// bookFile is the content of the file.
type bookFile struct {
	Version int             `json:"version"`
	Sum     string          `json:"sum,omitempty"` // CRC-32C of Months as written; absent in files of earlier builds
	Months  json.RawMessage `json:"months"`
}

// ErrInUse is returned while another process has the file locked.
var ErrInUse = errors.New("another gateway uses this cost account file")

// Reasons for which a file is neither read nor overwritten.
var (
	errForeign = errors.New("this is not a cost account that this version can read; move it away, or name another file in cost.file")
	errDamaged = errors.New("the cost account is damaged; move it away to begin a new one, or restore a backup")
)

var checksums = crc32.MakeTable(crc32.Castagnoli)

func sumOf(months []byte) string { return fmt.Sprintf("%08x", crc32.Checksum(months, checksums)) }

// file is a book in a file. It locks the file against other processes as soon as it can.
type file struct {
	path string
	lock *os.File // nil until the lock is held
}

// NewFile returns a Keeper that uses a file. Add replaces the whole file and returns when it is on
// disk. The file is first read on the first use. While another process has the file, all methods
// return ErrInUse, and batches wait.
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

// open takes the lock and reads the file.
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
	b, err := parseBook(text)
	if err != nil {
		return book{}, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// parseBook parses an account. A text that starts like an account but cannot be parsed counts as
// damaged, any other as foreign.
func parseBook(text []byte) (book, error) {
	otherwise := errForeign
	if bytes.HasPrefix(text, []byte(fmt.Sprintf(`{"version":%d,`, fileVersion))) {
		otherwise = errDamaged
	}
	var content bookFile
	if err := json.Unmarshal(text, &content); err != nil || content.Version != fileVersion {
		return book{}, otherwise
	}
	if content.Sum != "" && content.Sum != sumOf(content.Months) {
		return book{}, errDamaged
	}
	var months map[Month]*Kept
	if err := json.Unmarshal(content.Months, &months); err != nil {
		return book{}, otherwise
	}
	for m, k := range months {
		if _, ok := ParseMonth(string(m)); !ok || k == nil {
			return book{}, otherwise
		}
	}
	return book{months}, nil
}

// write replaces the file atomically: readers, also after a crash, see the old account or the new
// one.
func (f *file) write(b book) error {
	months, err := json.Marshal(b.months)
	if err != nil {
		return fmt.Errorf("writing the cost account: %w", err)
	}
	text, err := json.Marshal(bookFile{fileVersion, sumOf(months), months})
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
	return f.lock.Close() // this releases the lock
}
