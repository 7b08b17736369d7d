//go:build unix

package file

import (
	"errors"
	"os"
	"syscall"
)

// lock takes the lock of the library on the same open file, and reports whether another process
// holds it.
func lock(f *os.File) (taken bool, err error) {
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// unlock releases the lock, although the file stays mapped to memory as long as the process lives.
func unlock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
