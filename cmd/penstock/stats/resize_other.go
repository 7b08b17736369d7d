//go:build !unix

package stats

import "os"

// watchSize never reports a change here. The next redraw, a second later, uses the new size.
func watchSize() (resized <-chan os.Signal, stop func()) { return nil, func() {} }
