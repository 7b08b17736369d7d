//go:build unix

package cost

import (
	"errors"
	"os"
	"syscall"
)

// lockFile locks f, or returns ErrInUse. The lock is released when f is closed or the process ends.
func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrInUse
	}
	return err
}
