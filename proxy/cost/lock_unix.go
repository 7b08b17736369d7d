//go:build unix

package cost

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes the lock of f, or returns ErrInUse. It ends with f, or with the process.
func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrInUse
	}
	return err
}
