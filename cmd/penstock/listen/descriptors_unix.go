//go:build unix

package listen

import "syscall"

// openFiles returns how many files the process may open, or 0 if that is not known. The Go runtime
// has already raised the soft limit to the hard limit.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return uint64(limit.Cur)
}
