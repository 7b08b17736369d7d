package stall

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// look is the input of one check of a waiting write, and the expected result.
type look struct {
	after        time.Duration // since the write began
	sent, queued int
	stalled      bool
}

func TestGauge(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name  string
		looks []look
	}{
		{"nothing moves", []look{{15 * s, 0, 9, false}, {30 * s, 0, 9, false}, {59 * s, 0, 9, false}, {60 * s, 0, 9, true}}},
		{"the kernel takes more", []look{{30 * s, 0, 9, false}, {50 * s, 1, 9, false}, {60 * s, 1, 9, false}, {109 * s, 1, 9, false}, {110 * s, 1, 9, true}}},
		{"the peer acknowledges", []look{{30 * s, 0, 9, false}, {59 * s, 0, 8, false}, {118 * s, 0, 8, false}, {119 * s, 0, 8, true}}},
		{"more is queued", []look{{30 * s, 0, 9, false}, {60 * s, 0, 10, true}}},
		{"the queue is unknown", []look{{30 * s, 0, -1, false}, {59 * s, 5, -1, false}, {118 * s, 5, -1, false}, {119 * s, 5, -1, true}}},
		{"the first look sees no change", []look{{60 * s, 7, 1, true}}},
		{"a byte every fifty seconds for ever", []look{{50 * s, 0, 9, false}, {100 * s, 0, 8, false}, {150 * s, 0, 7, false}, {200 * s, 0, 6, false}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			begun := time.Unix(1000, 0)
			g := Start(60*s, begun)
			for _, l := range tt.looks {
				if got := g.Stalled(begun.Add(l.after), l.sent, l.queued); got != l.stalled {
					t.Errorf("after %v: %v", l.after, got)
				}
			}
		})
	}
}

func TestNextCheckIsWithinTheLimit(t *testing.T) {
	begun := time.Unix(1000, 0)
	g := Start(time.Minute, begun)
	for now := begun; now.Before(begun.Add(time.Minute)); {
		next := g.Next(now)
		if !next.After(now) || next.After(begun.Add(time.Minute)) {
			t.Fatalf("at %v: %v", now.Sub(begun), next.Sub(begun))
		}
		now = next
	}
}

// pair returns a TCP connection with small buffers.
func pair(t *testing.T) (here, there *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	here, there = c.(*net.TCPConn), s.(*net.TCPConn)
	if err := errors.Join(here.SetWriteBuffer(16<<10), there.SetReadBuffer(16<<10)); err != nil {
		t.Fatal(err)
	}
	return here, there
}

func TestWriteToAStalledPeer(t *testing.T) {
	here, _ := pair(t)
	c := New(here, 200*time.Millisecond)
	n, err := c.Write(make([]byte, 8<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) || n == 8<<20 {
		t.Fatalf("%d, %v", n, err)
	}
	if _, err := c.Write([]byte("more")); !errors.Is(err, Err) {
		t.Errorf("a second write: %v", err)
	}
}

func TestWriteToASlowPeer(t *testing.T) {
	here, there := pair(t)
	const limit = 400 * time.Millisecond
	c, size := New(here, limit), 1<<20
	go func() {
		defer there.Close()
		buf := make([]byte, size/20)
		for range 20 {
			time.Sleep(limit / 5)
			if _, err := io.ReadFull(there, buf); err != nil {
				return
			}
		}
	}()
	begun := time.Now()
	if n, err := c.Write(make([]byte, size)); n != size || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if took := time.Since(begun); took < limit {
		t.Errorf("the peer was not slow: %v", took)
	}
}

func TestOwnerDeadlineApplies(t *testing.T) {
	here, _ := pair(t)
	c := New(here, time.Hour)
	if err := c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(make([]byte, 8<<20)); !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, Err) {
		t.Fatal(err)
	}
}

// The deadline of an earlier write must not fail the next one.
func TestIdleConnectionWritesAgain(t *testing.T) {
	here, there := pair(t)
	c := New(here, 40*time.Millisecond)
	go io.Copy(io.Discard, there)
	for range 3 {
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(60 * time.Millisecond)
	}
}
