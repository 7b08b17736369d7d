package deliver

import (
	"crypto/rand"
	"encoding/binary"
	"io"
	"sync"
	"sync/atomic"
)

// goingAway is the status of a close frame of an endpoint that shuts down (RFC 6455 section 7.4.1).
const goingAway = 1001

// frames follows one direction of a WebSocket, and knows whether the next byte begins a frame (RFC
// 6455 section 5.2). The zero value is the beginning.
type frames struct {
	head [14]byte // the frame's header so far
	have int
	left uint64 // bytes of the payload that have not passed yet
}

// pass takes the next bytes.
func (f *frames) pass(b []byte) {
	for len(b) > 0 {
		if f.left > 0 {
			n := min(f.left, uint64(len(b)))
			f.left, b = f.left-n, b[n:]
			continue
		}
		f.head[f.have] = b[0]
		f.have++
		b = b[1:]
		if f.have == f.size() {
			f.left, f.have = f.payload(), 0
		}
	}
}

// size returns the length of the header, as far as it is known.
func (f *frames) size() int {
	if f.have < 2 {
		return 2
	}
	size := 2
	switch f.head[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if f.head[1]&0x80 != 0 {
		size += 4 // the mask
	}
	return size
}

func (f *frames) payload() uint64 {
	switch n := f.head[1] & 0x7f; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		return binary.BigEndian.Uint64(f.head[2:])
	default:
		return uint64(n)
	}
}

// between reports whether the next byte begins a frame. A close frame may be sent there, even
// between the fragments of a message (section 5.4).
func (f *frames) between() bool { return f.have == 0 && f.left == 0 }

// closeFrame returns a frame that tells the other side that this side goes away. masked is true for
// frames that a client sends (section 5.3).
func closeFrame(masked bool) []byte {
	frame := binary.BigEndian.AppendUint16([]byte{0x88, 2}, goingAway)
	if !masked {
		return frame
	}
	var mask [4]byte
	_, _ = rand.Read(mask[:]) // never fails
	return []byte{0x88, 0x80 | 2, mask[0], mask[1], mask[2], mask[3], frame[2] ^ mask[0], frame[3] ^ mask[1]}
}

// webSocket writes one direction of a WebSocket. If it is told to leave, it ends the direction with
// a close frame. leave may be called concurrently.
type webSocket struct {
	to      io.Writer
	masked  bool // true if it writes as a client
	leaving atomic.Bool

	mu     sync.Mutex // held while it writes
	frames frames
	over   bool // true after the close frame, because no other frame may follow (section 5.5.1)
}

// Write passes on the next bytes of the other side. After the close frame it drops them.
func (s *webSocket) Write(b []byte) (int, error) {
	n, err := s.write(b)
	if s.leaving.Load() {
		s.sayGoodbye()
	}
	return n, err
}

func (s *webSocket) write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return len(b), nil
	}
	n, err := s.to.Write(b)
	s.frames.pass(b[:n])
	return n, err
}

// leave sends a close frame as soon as the current frame has ended. If a write is under way, that
// write sends the close frame.
func (s *webSocket) leave() {
	s.leaving.Store(true)
	s.sayGoodbye()
}

func (s *webSocket) sayGoodbye() {
	if !s.mu.TryLock() {
		return // the write under way checks again when it has ended
	}
	defer s.mu.Unlock()
	if s.over || !s.frames.between() {
		return
	}
	s.over = true
	_, _ = s.to.Write(closeFrame(s.masked)) // a side that has gone needs no close frame
}
