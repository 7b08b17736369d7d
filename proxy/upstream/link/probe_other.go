//go:build !unix

package link

import (
	"errors"
	"net"
	"sync"
)

// Probe cannot look at a connection on this system without reading from it. If a connection is dead
// or holds bytes, its next use shows it.
type Probe struct{}

func newProbe(net.Conn) Probe { return Probe{} }

func (Probe) Silent() bool { return true }

type Look struct{ Probe }

func (l *Look) At(p Probe) { l.Probe = p }

func (l *Look) CanWrite() bool { return false }

func (l *Look) WriteThenRead(out, in []byte) (wrote, n int, err error) {
	return 0, 0, errors.ErrUnsupported
}

func (l *Look) ReadUnder(mu sync.Locker, in []byte, took func(all bool)) (n int, err error) {
	return 0, errors.ErrUnsupported
}
