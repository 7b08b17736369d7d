package listen

import (
	"errors"
	"sync/atomic"
	"syscall"
)

// AcceptFailures counts, by reason, how often a connection could not be accepted.
type AcceptFailures struct {
	NoFiles  atomic.Uint64 // the process (EMFILE) or the system (ENFILE) has no open files left
	NoMemory atomic.Uint64 // the system has no memory for a connection left
	Other    atomic.Uint64
}

// note counts err, and returns its reason for the log.
func (f *AcceptFailures) note(err error) (reason string) {
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		f.NoFiles.Add(1)
		return "the gateway has no open files left; raise the limit (ulimit -n, LimitNOFILE)"
	case errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
		f.NoMemory.Add(1)
		return "the system has no memory left for connections"
	}
	f.Other.Add(1)
	return "other"
}
