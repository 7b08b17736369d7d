//go:build !unix

package main

import "syscall"

// reopenSignal never arrives: these systems have no SIGUSR1.
const reopenSignal = syscall.Signal(-1)
