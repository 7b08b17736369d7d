//go:build !unix

package main

import "syscall"

// reopenSignal is none that comes: such systems have no SIGUSR1.
const reopenSignal = syscall.Signal(-1)
