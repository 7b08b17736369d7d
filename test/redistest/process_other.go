//go:build !linux

package redistest

import "syscall"

// bound does nothing here: outside Linux, a server outlives a test process that is killed.
func bound() *syscall.SysProcAttr { return nil }
