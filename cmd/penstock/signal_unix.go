//go:build unix

package main

import "syscall"

// reopenSignal makes the process close and reopen its access log file, so that log rotation can
// move the old file away.
const reopenSignal = syscall.SIGUSR1
