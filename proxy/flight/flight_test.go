package flight

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type flightOf = Flight[string, int]

var background = context.Background()

// noise returns n bytes that no shift maps to themselves.
func noise(n int) []byte {
	rnd := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	_, _ = rnd.Read(b)
	return b
}

func lead(t testing.TB, g *Group[string, int]) *flightOf {
	t.Helper()
	f, lead, err := g.Join("k", 0)
	if err != nil || !lead {
		t.Fatalf("Join of an empty group: lead %v, error %v", lead, err)
	}
	return f
}

func follow(t testing.TB, g *Group[string, int]) *flightOf {
	t.Helper()
	f, lead, err := g.Join("k", 0)
	if err != nil || lead {
		t.Fatalf("Join of a flight in the air: lead %v, error %v", lead, err)
	}
	return f
}

func write(t testing.TB, f *flightOf, p []byte) {
	t.Helper()
	if n, err := f.Write(p); n != len(p) || err != nil {
		t.Fatalf("Write of %d bytes = %d, %v", len(p), n, err)
	}
}

func next(t testing.TB, r *Reader, want []byte) {
	t.Helper()
	got, err := r.Next(background)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("Next = %d bytes, %v; want %d bytes", len(got), err, len(want))
	}
}

func fails(t testing.TB, r *Reader, want error) {
	t.Helper()
	if b, err := r.Next(background); !errors.Is(err, want) {
		t.Fatalf("Next = %d bytes, %v; want %v", len(b), err, want)
	}
}

func TestFollowersReadAsTheLeaderWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[string, int]
		f := lead(t, &g)
		body := noise(300_000)
		const followers = 20
		var wg sync.WaitGroup
		for range followers {
			l := follow(t, &g)
			wg.Go(func() {
				defer l.Leave()
				if h, o, err := l.Head(background); h != 7 || o != Shared || err != nil {
					t.Errorf("Head = %d, %d, %v", h, o, err)
				}
				r := l.Reader(background)
				defer r.Close()
				if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, body) {
					t.Errorf("read %d bytes, %v", len(got), err)
				}
			})
		}
		synctest.Wait()
		if f.Waiters() != followers {
			t.Errorf("%d waiters", f.Waiters())
		}
		f.Announce(7, 1<<20)
		for p := body; len(p) > 0; {
			n := min(len(p), 7_001)
			write(t, f, p[:n])
			p = p[n:]
		}
		late := follow(t, &g).Reader(background)
		defer late.Close()
		f.End(Shared, nil)
		wg.Wait()
		var buf bytes.Buffer
		if n, err := late.WriteTo(&buf); n != int64(len(body)) || err != nil || !bytes.Equal(buf.Bytes(), body) {
			t.Errorf("late reader: %d bytes, %v", n, err)
		}
		segments, size, whole := f.Body()
		if !whole || size != int64(len(body)) || !bytes.Equal(bytes.Join(segments, nil), body) {
			t.Errorf("Body: %d bytes, whole %v", size, whole)
		}
	})
}

func TestBytesAreSeenAtOnceAndNeverChange(t *testing.T) {
	var g Group[string, int]
	f := lead(t, &g)
	f.Announce(0, 1<<20)
	r := f.Reader(background)
	defer r.Close()
	write(t, f, []byte("one"))
	first, err := r.Next(background)
	if err != nil || string(first) != "one" {
		t.Fatalf("%q, %v", first, err)
	}
	_ = append(first, "XXX"...) // a reader that appends must not change the segment
	p := []byte("two")
	write(t, f, p)
	copy(p, "???") // nor may the leader by reusing its buffer
	next(t, r, []byte("two"))
	f.End(Shared, nil)
	fails(t, r, io.EOF)
	if segments, _, _ := f.Body(); len(segments) != 1 || string(segments[0]) != "onetwo" || cap(segments[0]) > 16 {
		t.Errorf("small writes are not one small segment: %q", segments)
	}
}

func TestSegments(t *testing.T) {
	var g Group[string, int]
	f := lead(t, &g)
	f.Announce(0, 1<<30)
	body := noise(1 << 20)
	write(t, f, body[:100])
	write(t, f, body[100:])
	segments, _, _ := f.Body()
	for i, s := range segments {
		if len(s) > segmentSize || len(s) != cap(s) {
			t.Errorf("segment %d: %d of %d bytes", i, len(s), cap(s))
		}
	}
	if len(segments) > len(body)/segmentSize+2 {
		t.Errorf("%d segments", len(segments))
	}
}

func TestExpectedSizeTakesNoMore(t *testing.T) {
	for _, tt := range []struct{ expected, written, taken int }{
		{expected: 1000, written: 1000, taken: 1000},
		{expected: 6000, written: 6000, taken: 6000},
		{expected: 1000, written: 400, taken: 1000},           // the body breaks off
		{expected: 1000, written: 1200, taken: 1000 + 2*1000}, // it is longer than announced
		{expected: 0, written: 1000, taken: firstSegment},     // its size is not known
		{expected: -1, written: 6000, taken: firstSegment + 2*firstSegment},
	} {
		var g Group[string, int]
		f := lead(t, &g)
		f.Expect(int64(tt.expected))
		f.Announce(0, 1<<30)
		body := noise(tt.written)
		for p := range slices.Chunk(body, 300) {
			write(t, f, p)
		}
		taken := 0
		for _, s := range f.segments {
			taken += cap(s)
		}
		segments, size, whole := f.Body()
		if taken != tt.taken || !whole || size != int64(tt.written) || !bytes.Equal(bytes.Join(segments, nil), body) {
			t.Errorf("%d of %d bytes: took %d, want %d; Body: %d bytes, whole %v", tt.written, tt.expected, taken, tt.taken, size, whole)
		}
	}
}

func TestOutcomes(t *testing.T) {
	boom := errors.New("boom")
	f := func(announce bool, end Outcome, err error, wantHead Outcome, wantErr, wantRead error) {
		t.Helper()
		var g Group[string, int]
		l := lead(t, &g)
		w := follow(t, &g)
		early := w.Reader(background)
		if announce {
			l.Announce(1, 100)
			write(t, l, []byte("abc"))
		}
		l.End(end, err)
		l.End(Done, errors.New("a second End must have no effect"))
		if g.Len() != 0 {
			t.Error("still in its group after End")
		}
		if _, o, err := w.Head(background); o != wantHead || !errors.Is(err, wantErr) {
			t.Errorf("Head = %d, %v; want %d, %v", o, err, wantHead, wantErr)
		}
		if announce {
			next(t, early, []byte("abc"))
		}
		fails(t, early, wantRead)
		if _, err := l.Write([]byte("x")); !errors.Is(err, ErrEnded) {
			t.Errorf("Write after End: %v", err)
		}
	}
	f(true, Shared, nil, Shared, nil, io.EOF)
	f(true, Done, nil, Shared, nil, io.EOF)
	f(true, Retry, nil, Retry, ErrVanished, ErrVanished)
	f(true, Solo, nil, Solo, ErrVanished, ErrVanished)
	f(true, Failed, boom, Failed, boom, boom)
	f(true, Shared, boom, Shared, boom, boom)
	f(false, Retry, ErrVanished, Retry, ErrVanished, ErrVanished)
	f(false, Shared, nil, Retry, nil, io.EOF)
	f(false, Solo, nil, Solo, nil, io.EOF)
	f(false, Done, nil, Done, nil, io.EOF)
	f(false, Failed, boom, Failed, boom, boom)
}

// TestEndLeavesTheGroupBeforeWaking checks that a follower that is woken and joins again does not
// find its old flight.
func TestEndLeavesTheGroupBeforeWaking(t *testing.T) {
	for range 200 {
		var g Group[string, int]
		f := lead(t, &g)
		w := follow(t, &g)
		done := make(chan bool)
		go func() {
			_, _, _ = w.Head(background)
			_, lead, _ := g.Join("k", 0)
			done <- lead
		}()
		f.End(Retry, nil)
		if !<-done {
			t.Fatal("joined the flight that had just ended")
		}
	}
}

func TestLeaderPanicDoesNotHangFollowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[string, int]
		f := lead(t, &g)
		w := follow(t, &g)
		r := w.Reader(background)
		go func() {
			defer func() { _ = recover() }()
			defer func() { f.End(Retry, ErrVanished) }()
			f.Announce(1, 100)
			_, _ = f.Write([]byte("half"))
			panic("leader")
		}()
		next(t, r, []byte("half"))
		fails(t, r, ErrVanished)
	})
}

func TestWaiterCap(t *testing.T) {
	var g Group[string, int]
	f, _, _ := g.Join("k", 2)
	a, _, err := g.Join("k", 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err = g.Join("k", 2); err != nil {
		t.Fatal(err)
	}
	if _, _, err = g.Join("k", 2); !errors.Is(err, ErrTooManyWaiters) {
		t.Fatalf("third follower of two: %v", err)
	}
	if _, lead, err := g.Join("other", 2); err != nil || !lead {
		t.Fatal("the cap of one flight hit another")
	}
	a.Leave()
	a.Leave()
	if f.Waiters() != 1 {
		t.Errorf("%d waiters after one of two left, twice", f.Waiters())
	}
	if _, _, err = g.Join("k", 2); err != nil {
		t.Errorf("the place of one who left: %v", err)
	}
	f.Announce(1, 10)
	if _, lead, err := g.Join("k", 2); err != nil || lead {
		t.Errorf("no request waits after Announce: lead %v, error %v", lead, err)
	}
	f.Leave() // the leader has no place to give up
	if f.Waiters() != 3 {
		t.Errorf("%d waiters", f.Waiters())
	}
}

func TestWaitsObeyTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[string, int]
		f := lead(t, &g)
		w := follow(t, &g)
		ctx, cancel := context.WithTimeout(background, time.Second)
		defer cancel()
		start := time.Now()
		if _, o, err := w.Head(ctx); o != Retry || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Head = %d, %v", o, err)
		}
		f.Announce(1, 10)
		ctx, cancel = context.WithTimeout(background, time.Second)
		defer cancel()
		r := w.Reader(ctx)
		if _, err := r.Read(make([]byte, 1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Read: %v", err)
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("waited %v", took)
		}
		go func() {
			time.Sleep(time.Second)
			_ = r.Close()
		}()
		fails(t, r, ErrClosed)
	})
}

func TestWriteNeedsAnnounce(t *testing.T) {
	var g Group[string, int]
	f := lead(t, &g)
	if _, err := f.Write([]byte("x")); !errors.Is(err, ErrNotAnnounced) {
		t.Error(err)
	}
	f.End(Retry, nil)
	f.Announce(1, 1)
	if _, o, _ := f.Head(background); o != Retry {
		t.Errorf("Announce after End: outcome %d", o)
	}
}

func TestFillWithoutReadersContinuesUpToTheLimit(t *testing.T) {
	var g Group[string, int]
	f := lead(t, &g)
	r := f.Reader(background)
	f.Announce(1, 100)
	_ = r.Close()
	write(t, f, make([]byte, 100))
	if _, _, whole := f.Body(); !whole {
		t.Error("not whole")
	}
	if n, err := f.Write(make([]byte, 1)); n != 0 || !errors.Is(err, ErrAbandoned) {
		t.Errorf("Write = %d, %v", n, err)
	}
	if _, _, whole := f.Body(); whole {
		t.Error("too large to be kept and yet whole")
	}
}
