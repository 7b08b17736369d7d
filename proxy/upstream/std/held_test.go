package std

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/penstock/penstock/proxy/upstream/fault"
)

func TestHeldBodies(t *testing.T) {
	f := func(size, first int, again bool) {
		t.Helper()
		h := hold(io.NopCloser(iotest.HalfReader(strings.NewReader(strings.Repeat("x", size)))))
		v := h.open()
		if n, err := io.ReadFull(v, make([]byte, first)); n != first {
			t.Fatal(err)
		}
		v.Close()
		if _, err := v.Read(make([]byte, 1)); err != fault.ErrTaken {
			t.Errorf("a closed view reads: %v", err)
		}
		w := h.open()
		if (w != nil) != again || h.whole() != again {
			t.Errorf("of %d bytes %d were read: another view: %v, want %v", size, first, w != nil, again)
		}
		if w == nil {
			return
		}
		if all, err := io.ReadAll(w); len(all) != size || err != nil {
			t.Errorf("of %d bytes %d were read: then %d, %v", size, first, len(all), err)
		}
	}
	f(0, 0, true)
	f(1, 1, true)
	f(heldMost, heldMost, true)
	f(heldMost+1, heldMost, true)
	f(heldMost+1, heldMost+1, false)
	f(4*heldMost, 0, true)
	f(4*heldMost, 100, true)
}

// A view that waits for the client when it is given up costs the next one nothing.
func TestAHeldBodyThatIsBeingRead(t *testing.T) {
	r, w := io.Pipe()
	h := hold(r)
	old := h.open()
	ended := make(chan error)
	go func() {
		_, err := old.Read(make([]byte, 10))
		ended <- err
	}()
	for reading := false; !reading; time.Sleep(time.Millisecond) {
		h.mu.Lock()
		reading = h.reading
		h.mu.Unlock()
	}
	next := h.open()
	go func() {
		io.WriteString(w, "body")
		w.CloseWithError(io.EOF)
	}()
	if err := <-ended; err != fault.ErrTaken {
		t.Errorf("the old view: %v", err)
	}
	if all, err := io.ReadAll(next); string(all) != "body" || err != nil {
		t.Errorf("%q, %v", all, err)
	}
	h.close()
	if _, err := w.Write([]byte("x")); err != io.ErrClosedPipe {
		t.Errorf("it is not closed: %v", err)
	}
}

func TestUnprocessed(t *testing.T) {
	f := func(want bool, text string) {
		t.Helper()
		err := errors.New(text)
		if got := unprocessed(err); got != want {
			t.Errorf("%s: %v", text, got)
		}
		if k := fault.Classify(err, fault.Awaiting); k != fault.ConnectionTerminated {
			t.Errorf("%s: %v", text, k)
		}
	}
	const cannot = "http2: Transport: cannot retry err [%] after Request.Body was written; define Request.GetBody to avoid this error"
	in := func(s string) string { return strings.Replace(cannot, "%", s, 1) }
	f(true, in("http2: Transport received Server's graceful shutdown GOAWAY"))
	f(true, in("stream error: stream ID 3; REFUSED_STREAM; received from peer"))
	f(true, "stream error: stream ID 3; REFUSED_STREAM; received from peer")
	f(true, "http2: Transport received GOAWAY from server ErrCode:ENHANCE_YOUR_CALM")
	f(true, "http2: client conn not usable")
	f(true, "http2: client conn could not be established")
	f(true, "net/http: cannot rewind body after connection loss")
	f(false, in("stream error: stream ID 3; PROTOCOL_ERROR; received from peer"))
	f(false, "stream error: stream ID 3; CANCEL; received from peer")
	f(false, `http2: server sent GOAWAY and closed the connection; LastStreamID=19, ErrCode=NO_ERROR, debug=""`)
	f(false, "http2: client connection force closed via ClientConn.Close")
	f(false, "http2: client connection lost")
	f(false, "unexpected EOF")
	f(false, "write tcp: broken pipe: unexpected EOF")
}
