//go:build !linux || !amd64

package wrongclock

import (
	"errors"
	"fmt"
	"time"
)

// Supported reports whether Set works on this system.
const Supported = false

// Set returns an error that is errors.ErrUnsupported.
func Set(int, time.Duration) error {
	return fmt.Errorf("wrongclock: setting the clock of a process: %w", errors.ErrUnsupported)
}
