package file

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/penstock/penstock/proxy/write"
)

const (
	// lockTime is how long Open waits for another process to release the file.
	lockTime  = time.Second
	lockAgain = 20 * time.Millisecond
)

var (
	errLocked    = errors.New("another process has opened it")
	errDirectory = errors.New("it is a directory")
	errNoFile    = errors.New("it is not a regular file")
)

// Open opens the file, or creates it if it does not exist. No other process may have it open. If
// the file is damaged, Open keeps it under another name, and puts a new file with all sound content
// in its place.
func Open(path string, b write.Bounds, now func() time.Time, log *slog.Logger) (*Store, error) {
	s, err := open(path, b, now, log, write.NewHeld())
	if err != nil {
		return nil, withRemedy(path, err)
	}
	return s, nil
}

func open(path string, b write.Bounds, now func() time.Time, log *slog.Logger, held *write.Held) (*Store, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	for again := false; ; again = true {
		f, err := openLocked(path)
		if err != nil {
			return nil, err
		}
		found, err := inspectFile(f)
		if err == nil && found != nil && !found.sound() {
			if again { // the new file is damaged too
				err = fmt.Errorf("%w: %s", write.ErrDamaged, strings.Join(found.problems, "; "))
			} else if err = replace(path, f, found, b, now, log); err == nil {
				_ = f.Close() // only read
				continue
			}
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		s := newStore(path, b, now, log)
		s.held = held
		if err := s.start(f); err != nil {
			return nil, err
		}
		return s, nil
	}
}

func newStore(path string, b write.Bounds, now func() time.Time, log *slog.Logger) *Store {
	return &Store{
		path: path, bounds: b, now: now, log: log, held: write.NewHeld(), changes: make(chan *change), stop: make(chan struct{}), more: make(chan struct{}, 1),
		pending: make(map[string]*pending), seen: make(map[string][]string),
	}
}

// start opens a sound file with the library and starts the goroutines.
func (s *Store) start(f *os.File) error {
	if err := s.attach(f); err != nil {
		return err
	}
	if err := s.load(); err != nil {
		if s.Broken() != nil {
			return errors.Join(err, unlock(f), f.Close())
		}
		return errors.Join(err, s.db.Close())
	}
	s.running.Go(s.commit)
	s.running.Go(s.sweep)
	return nil
}

// attach opens a sound file with the library. If that fails, it closes the file.
func (s *Store) attach(f *os.File) error {
	s.file = f
	return guarded(func() (err error) {
		s.db, err = bolt.Open(s.path, 0o600, &bolt.Options{
			Timeout: lockTime, FreelistType: bolt.FreelistMapType, NoFreelistSync: true,
			OpenFile: func(string, int, os.FileMode) (*os.File, error) { return f, nil },
		})
		return err
	})
}

// openLocked opens the file under the path and locks it.
func openLocked(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, errDirectory
	} else if err == nil && !info.Mode().IsRegular() {
		return nil, errNoFile
	}
	for end := time.Now().Add(lockTime); ; time.Sleep(lockAgain) {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		taken, err := lock(f)
		if err == nil && !taken && stillNamed(f, path) {
			return f, nil
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		if time.Now().After(end) {
			return nil, errLocked
		}
	}
}

// stillNamed reports whether f is still the file under the path. A process that held the lock may
// have replaced it.
func stillNamed(f *os.File, path string) bool {
	own, err := f.Stat()
	other, errOther := os.Stat(path)
	return err == nil && errOther == nil && os.SameFile(own, other)
}

// inspectFile reads the whole file. The result is nil if the file is empty; the library then
// initialises it.
func inspectFile(f *os.File) (*survey, error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return nil, err
	}
	return inspect(f, info.Size())
}

// withRemedy adds to an error of opening or writing the file the steps that mend it.
func withRemedy(path string, err error) error {
	remedy := ""
	switch {
	case errors.Is(err, errLocked), errors.Is(err, bolterrors.ErrTimeout):
		remedy = "only one gateway may use a file: stop the other one, or name another file in writes.path"
	case errors.Is(err, errDirectory):
		remedy = "name a file in this directory, such as  " + filepath.Join(path, "writes.db")
	case errors.Is(err, errNoFile), errors.Is(err, syscall.ENOTDIR):
		remedy = "name another file in writes.path"
	case errors.Is(err, fs.ErrNotExist):
		remedy = "create the directory " + filepath.Dir(path) + ", which the gateway must be able to write to"
	case errors.Is(err, syscall.EROFS):
		remedy = "its file system is read-only: mount it for writing, or name another file in writes.path"
	case errors.Is(err, fs.ErrPermission):
		remedy = "the gateway's user must be able to read and write it and its directory: see chown and chmod 600"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		remedy = "its disk is full: free some space"
	case errors.Is(err, errForeign):
		remedy = "move it away, or name another file in writes.path"
	case errors.Is(err, errVersion):
		remedy = "run the version that wrote it until no write waits, or move it away"
	default:
		remedy = "see penstock writes --file " + path + " check"
	}
	return fmt.Errorf("the queue of writes %s can't be used: %w; %s", path, err, remedy)
}
