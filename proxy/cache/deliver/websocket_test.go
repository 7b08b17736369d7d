package deliver

import (
	"bytes"
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"
)

// frame is one as RFC 6455 section 5.2 writes it. The mask changes nothing of its length, so the
// payload is zero.
func frame(size int, masked bool, long int) []byte {
	b := []byte{0x82, 0}
	switch {
	case long == 2 || size > 0xffff:
		b[1] = 127
		b = binary.BigEndian.AppendUint64(b, uint64(size))
	case long == 1 || size > 125:
		b[1] = 126
		b = binary.BigEndian.AppendUint16(b, uint16(size))
	default:
		b[1] = byte(size)
	}
	if masked {
		b[1] |= 0x80
		b = append(b, 1, 2, 3, 4)
	}
	return append(b, make([]byte, size)...)
}

// TestGoodbyeComesBetweenFrames writes random frames in random pieces, and leaves after one of
// them. The close frame must come where the next frame would begin, and nothing after it.
func TestGoodbyeComesBetweenFrames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []byte
		ends := map[int]bool{0: true}
		for range rapid.IntRange(0, 6).Draw(t, "frames") {
			size := rapid.OneOf(rapid.IntRange(0, 130), rapid.SampledFrom([]int{125, 126, 65535, 65536})).Draw(t, "size")
			all = append(all, frame(size, rapid.Bool().Draw(t, "masked"), rapid.IntRange(0, 2).Draw(t, "long"))...)
			ends[len(all)] = true
		}
		var out bytes.Buffer
		s := &webSocket{to: &out}
		left := -1
		for at := 0; at < len(all); {
			if left < 0 && rapid.IntRange(0, 3).Draw(t, "leave") == 0 {
				left = at
				s.leave()
			}
			n := min(rapid.IntRange(1, 3000).Draw(t, "piece"), len(all)-at)
			if m, err := s.Write(all[at : at+n]); m != n || err != nil {
				t.Fatalf("%d, %v", m, err)
			}
			at += n
		}
		if left < 0 {
			left = len(all)
			s.leave()
		}
		passed, said := bytes.CutSuffix(out.Bytes(), closeFrame(false))
		if !said || !bytes.HasPrefix(all, passed) || len(passed) < left || !ends[len(passed)] {
			t.Fatalf("left after %d bytes; passed %d, said goodbye: %v; frames end at %v", left, len(passed), said, ends)
		}
	})
}

func TestCloseFrames(t *testing.T) {
	if b := closeFrame(false); !bytes.Equal(b, []byte{0x88, 2, 0x03, 0xe9}) {
		t.Errorf("%x", b)
	}
	b := closeFrame(true)
	if len(b) != 8 || b[0] != 0x88 || b[1] != 0x82 || b[6]^b[2] != 0x03 || b[7]^b[3] != 0xe9 {
		t.Errorf("%x", b)
	}
}
