//go:build unix

package main

import "syscall"

// reopenSignal asks for the access log's file to be opened again.
const reopenSignal = syscall.SIGUSR1
