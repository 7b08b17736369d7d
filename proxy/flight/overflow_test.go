package flight

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

const chunk = 32 << 10

// pour writes chunks until total bytes are written, and sends the error.
func pour(f *flightOf, body []byte) <-chan error {
	done := make(chan error, 1)
	go func() {
		for len(body) > 0 {
			n := min(len(body), chunk)
			if _, err := f.Write(body[:n]); err != nil {
				done <- err
				return
			}
			body = body[n:]
		}
		f.End(Shared, nil)
		done <- nil
	}()
	return done
}

func TestOverflowDetachesAndForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[string, int]
		f := lead(t, &g)
		r, w := f.Reader(background), follow(t, &g)
		f.Announce(1, 100)
		body := noise(8 << 20)
		done := pour(f, body)
		synctest.Wait() // blocked: neither the writer nor the reader has begun
		if g.Len() != 0 {
			t.Error("still in its group")
		}
		other, isLead, _ := g.Join("k", 0)
		if !isLead {
			t.Fatal("a newcomer joined the detached flight")
		}
		other.Announce(2, 100)
		if held := len(f.segments) * segmentSize; f.size > window+chunk || held > window+2*segmentSize {
			t.Errorf("%d bytes written, %d held", f.size, held)
		}
		rw := w.Reader(background)
		out := make(chan []byte)
		go func() { b, _ := io.ReadAll(rw); out <- b }()
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, body) {
			t.Errorf("leader's reader: %d bytes, %v", len(got), err)
		}
		if !bytes.Equal(<-out, body) {
			t.Error("the follower read other bytes")
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		fails(t, w.Reader(background), ErrTooLate)
		if len(f.segments)*segmentSize > window+2*segmentSize {
			t.Errorf("%d segments held", len(f.segments))
		}
		if g.Len() != 1 {
			t.Error("the end of the detached flight took the new one out of the group")
		}
	})
}

// TestLateReaderBeforeAnythingIsDropped checks that a late reader of a body that exceeds the limit
// may still begin if nothing was dropped.
func TestLateReaderBeforeAnythingIsDropped(t *testing.T) {
	var g Group[string, int]
	f := lead(t, &g)
	r := f.Reader(background)
	f.Announce(1, 10)
	write(t, f, []byte("abcdefghijklm"))
	late := f.Reader(background)
	next(t, late, []byte("abcdefghijklm"))
	next(t, r, []byte("abcdefghijklm"))
}

func TestSlowReaderIsCutOffWhileOthersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := Group[string, int]{SlowReader: 3 * time.Second}
		f := lead(t, &g)
		slow, fast := f.Reader(background), f.Reader(background)
		f.Announce(1, 0)
		body := noise(4 << 20)
		start := time.Now()
		done := pour(f, body)
		if got, err := io.ReadAll(fast); err != nil || !bytes.Equal(got, body) {
			t.Errorf("fast: %d bytes, %v", len(got), err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("waited %v for the slow reader", took)
		}
		fails(t, slow, ErrSlow)
	})
}

func TestSlowReaderWithProgressIsNotCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := Group[string, int]{SlowReader: 3 * time.Second}
		f := lead(t, &g)
		slow, fast := f.Reader(background), f.Reader(background)
		f.Announce(1, 0)
		body := noise(2 << 20)
		done := pour(f, body)
		go func() { _, _ = io.Copy(io.Discard, fast) }()
		var got []byte
		for {
			b, err := slow.Next(background)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b...)
			time.Sleep(2900 * time.Millisecond)
		}
		if err := <-done; err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}

func TestASingleReaderIsOnlyBackpressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[string, int]
		f := lead(t, &g)
		r := f.Reader(background)
		f.Announce(1, 0)
		body := noise(2 << 20)
		done := pour(f, body)
		time.Sleep(time.Hour)
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestIdleFollowerIsCutOff checks that a follower that has joined and neither reads nor leaves
// counts as slow.
func TestIdleFollowerIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[string, int]
		f := lead(t, &g)
		idle, r := follow(t, &g), f.Reader(background)
		f.Announce(1, 0)
		body := noise(2 << 20)
		start := time.Now()
		done := pour(f, body)
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != DefaultSlowReader {
			t.Errorf("waited %v", took)
		}
		fails(t, idle.Reader(background), ErrTooLate)
		idle.Leave()
		if f.pending != 0 || f.Waiters() != 0 {
			t.Errorf("%d pending, %d waiters", f.pending, f.Waiters())
		}
	})
}

func TestBlockedWriterIsFreed(t *testing.T) {
	f := func(name string, free func(f *flightOf, r *Reader, w *flightOf), want error) {
		synctest.Test(t, func(t *testing.T) {
			var g Group[string, int]
			l := lead(t, &g)
			w, r := follow(t, &g), l.Reader(background)
			l.Announce(1, 0)
			done := pour(l, make([]byte, 3<<20))
			synctest.Wait()
			free(l, r, w)
			if err := <-done; !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
		})
	}
	f("all leave", func(_ *flightOf, r *Reader, w *flightOf) { _ = r.Close(); w.Leave() }, ErrAbandoned)
	f("End", func(f *flightOf, _ *Reader, _ *flightOf) { f.End(Failed, io.ErrUnexpectedEOF) }, ErrEnded)
}
