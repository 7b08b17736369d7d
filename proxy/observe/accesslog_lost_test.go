package observe

import (
	"context"
	"errors"
	"testing"
)

// fullDisk accepts some bytes and then fails.
type fullDisk struct{ room int }

func (d *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), d.room)
	d.room -= n
	if n < len(p) {
		return n, errors.New("no space left on device")
	}
	return n, nil
}

// TestPartlyWrittenLinesCountAsDropped checks that a partly written line counts as lost.
func TestPartlyWrittenLinesCountAsDropped(t *testing.T) {
	for room, lost := range map[int]uint64{0: 3, 3: 3, 4: 2, 5: 2, 12: 0} {
		l := NewAccessLog(nil)
		l.out.Lock()
		l.output = output{Writer: &fullDisk{room}}
		l.out.Unlock()
		for range 3 {
			line := []byte("abc\n")
			l.put(&line)
		}
		l.Flush()
		if got := l.Dropped(); got != lost {
			t.Errorf("room for %d bytes: %d lines lost, want %d", room, got, lost)
		}
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}
