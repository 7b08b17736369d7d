//go:build !linux

package redistest

import "syscall"

// bound is for what only Linux has: elsewhere a server outlives a test process that is killed.
func bound() *syscall.SysProcAttr { return nil }
