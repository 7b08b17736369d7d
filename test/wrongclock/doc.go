// Package wrongclock puts the wall clock of a running process ahead or behind, as a wrong hand or a
// lost time server does. The clocks of other processes, and the process' own monotonic clock, stay
// right.
//
// The program needs no preparation: Set writes into the vDSO of the process, the page of code from
// the kernel by which a program reads the clock without a system call. A Go program reads time.Now
// from nowhere else. Set works on Linux with x86-64; elsewhere it returns an error that is
// errors.ErrUnsupported.
package wrongclock
