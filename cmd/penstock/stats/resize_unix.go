//go:build unix

package stats

import (
	"os"
	"os/signal"
	"syscall"
)

// watchSize reports each change of the terminal's size, until stop is called.
func watchSize() (resized <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGWINCH)
	return c, func() { signal.Stop(c) }
}
