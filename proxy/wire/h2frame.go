package wire

import (
	"encoding/binary"

	"golang.org/x/net/http2"
)

const (
	// frameHead is the size of what each frame begins with (RFC 9113 §4.1).
	frameHead = 9
	// frameMost is the largest frame that every peer takes (RFC 9113 §4.2).
	frameMost = 16 << 10
	// windowMost is the largest a flow-control window may be (RFC 9113 §6.9.1).
	windowMost = 1<<31 - 1
	// windowInitial is that of a connection, and of a stream before SETTINGS say otherwise (RFC 9113 §6.9.2).
	windowInitial = 1<<16 - 1

	prioritySize     = 5
	windowUpdateSize = 4
	resetSize        = 4
	goAwaySize       = 8
	settingSize      = 6
)

// frame is the head of one.
type frame struct {
	length int
	kind   http2.FrameType
	flags  http2.Flags
	stream uint32
}

// parseFrame reads the head of a frame, which is all there.
func parseFrame(b []byte) frame {
	return frame{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		kind:   http2.FrameType(b[3]),
		flags:  http2.Flags(b[4]),
		stream: number(b[5:]),
	}
}

// number reads 31 bits and leaves out the one before them, which is reserved.
func number(b []byte) uint32 { return binary.BigEndian.Uint32(b) & windowMost }

// append writes the head of a frame.
func (f frame) append(b []byte) []byte {
	b = append(b, byte(f.length>>16), byte(f.length>>8), byte(f.length), byte(f.kind), byte(f.flags))
	return binary.BigEndian.AppendUint32(b, f.stream)
}

// appendWindowUpdate writes a WINDOW_UPDATE of the connection.
func appendWindowUpdate(b []byte, increment int64) []byte {
	b = frame{length: windowUpdateSize, kind: http2.FrameWindowUpdate}.append(b)
	return binary.BigEndian.AppendUint32(b, uint32(increment))
}

// appendGoAway writes a GOAWAY without an error.
func appendGoAway(b []byte) []byte {
	return append(frame{length: goAwaySize, kind: http2.FrameGoAway}.append(b), make([]byte, goAwaySize)...)
}
