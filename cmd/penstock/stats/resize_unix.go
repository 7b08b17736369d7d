//go:build unix

package stats

import (
	"os"
	"os/signal"
	"syscall"
)

// watchSize tells when the terminal has another size, until stop is called.
func watchSize() (resized <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGWINCH)
	return c, func() { signal.Stop(c) }
}
