package flight

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// voyage is a random flight: what the leader writes, how it ends, and when followers join, read and
// leave.
type voyage struct {
	body   []byte
	keep   int64
	writes []int
	pause  time.Duration
	fail   bool
	riders []rider
}

type rider struct {
	comes time.Duration
	pause time.Duration // between reads
	chunk int
	goes  int // bytes after which the reader leaves; -1: it stays
}

func drawVoyage(t *rapid.T) voyage {
	size := rapid.OneOf(rapid.IntRange(0, 200_000), rapid.IntRange(0, 3<<20)).Draw(t, "size")
	v := voyage{
		body:  noise(size),
		keep:  int64(rapid.OneOf(rapid.IntRange(0, 100_000), rapid.IntRange(0, 4<<20)).Draw(t, "keep")),
		pause: time.Duration(rapid.IntRange(0, 20).Draw(t, "pause")) * time.Millisecond,
		fail:  rapid.Bool().Draw(t, "fail"),
	}
	for left := size; left > 0; {
		n := min(left, rapid.OneOf(rapid.IntRange(1, 200_000), rapid.Just(40_000)).Draw(t, "write"))
		v.writes = append(v.writes, n)
		left -= n
	}
	v.riders = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) rider {
		return rider{
			comes: time.Duration(rapid.IntRange(0, 300).Draw(t, "comes")) * time.Millisecond,
			pause: time.Duration(rapid.SampledFrom([]int{0, 0, 1, 50, 400}).Draw(t, "pause")) * time.Millisecond,
			chunk: rapid.SampledFrom([]int{0, 100_000, 5_000}).Draw(t, "chunk"),
			goes:  rapid.SampledFrom([]int{-1, -1, -1, 0, 70_000}).Draw(t, "goes"),
		}
	}), 0, 6).Draw(t, "riders")
	return v
}

var errLeader = errors.New("leader failed")

// run executes v and returns the errors.
func (v voyage) run() error {
	g := Group[string, int]{SlowReader: 200 * time.Millisecond}
	f, _, _ := g.Join("k", 0)
	problems := make(chan error, len(v.riders)+1)
	var wg sync.WaitGroup
	for _, r := range v.riders {
		wg.Go(func() { problems <- r.ride(&g, v) })
	}
	time.Sleep(50 * time.Millisecond) // some followers join before the head, some after
	f.Announce(1, v.keep)
	problems <- v.fly(f)
	wg.Wait()
	close(problems)
	var errs []error
	for err := range problems {
		errs = append(errs, err)
	}
	if g.Len() != 0 || f.Waiters() != 0 || len(f.readers) != 0 || f.pending != 0 || f.parked != 0 {
		errs = append(errs, fmt.Errorf("left behind: %d flights, %d waiters, %d readers, %d pending, %d parked",
			g.Len(), f.Waiters(), len(f.readers), f.pending, f.parked))
	}
	return errors.Join(errs...)
}

func (v voyage) fly(f *flightOf) error {
	at := 0
	for _, n := range v.writes {
		if _, err := f.Write(v.body[at : at+n]); err != nil {
			f.End(Failed, errLeader)
			if errors.Is(err, ErrAbandoned) {
				return nil
			}
			return err
		}
		at += n
		if held := int64(len(f.segments)) * segmentSize; held > v.keep+window+4*segmentSize+int64(n) && f.over {
			return fmt.Errorf("%d bytes held", held)
		}
		time.Sleep(v.pause)
	}
	if v.fail {
		f.End(Failed, errLeader)
		return nil
	}
	f.End(Shared, nil)
	segments, _, whole := f.Body()
	if whole != (int64(len(v.body)) <= v.keep) {
		return fmt.Errorf("whole = %v for %d bytes of %d to keep", whole, len(v.body), v.keep)
	}
	if whole && !bytes.Equal(bytes.Join(segments, nil), v.body) {
		return errors.New("the body to keep differs")
	}
	return nil
}

func (r rider) ride(g *Group[string, int], v voyage) error {
	time.Sleep(r.comes)
	f, lead, err := g.Join("k", 0)
	if err != nil {
		return err
	}
	if lead { // the flight had ended or detached
		f.End(Solo, nil)
		return nil
	}
	defer f.Leave()
	if _, o, err := f.Head(context.Background()); o != Shared || err != nil {
		if o == Solo && err == nil {
			return nil // the flight of another late follower: only they end one with Solo
		}
		if v.fail || errors.Is(err, errLeader) {
			return nil
		}
		return fmt.Errorf("Head: %d, %w", o, err)
	}
	rd := f.Reader(context.Background())
	defer rd.Close()
	got, err := r.read(rd)
	if !bytes.HasPrefix(v.body, got) {
		return fmt.Errorf("read %d bytes that are not the leader's", len(got))
	}
	switch {
	case err == errGone, errors.Is(err, errLeader), errors.Is(err, ErrSlow) && int64(len(v.body)) > v.keep:
		return nil
	case err == io.EOF && len(got) == len(v.body) && !v.fail:
		return nil
	}
	return fmt.Errorf("%d of %d bytes, then %w", len(got), len(v.body), err)
}

var errGone = errors.New("left of its own will")

func (r rider) read(rd *Reader) (got []byte, err error) {
	for {
		if r.goes >= 0 && len(got) >= r.goes {
			return got, errGone
		}
		var b []byte
		if r.chunk == 0 {
			b, err = rd.Next(context.Background())
		} else {
			var n int
			b = make([]byte, r.chunk)
			n, err = rd.Read(b)
			b = b[:n]
		}
		got = append(got, b...)
		if err != nil {
			return got, err
		}
		time.Sleep(r.pause)
	}
}

// TestLateFollowersAtTheSameMoment makes several followers join after the flight has ended. The first
// to run starts a flight of its own, and the others may join that one. The scheduler decides which
// of them leads, and no outcome may depend on it.
func TestLateFollowersAtTheSameMoment(t *testing.T) {
	v := voyage{body: noise(10), keep: 100, writes: []int{10}}
	for range 6 {
		v.riders = append(v.riders, rider{comes: 300 * time.Millisecond, goes: -1})
	}
	for range 2000 {
		var err error
		synctest.Test(t, func(*testing.T) { err = v.run() })
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestEveryFollowerReadsTheLeadersBytesOrAnError(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v := drawVoyage(rt)
		var err error
		synctest.Test(t, func(*testing.T) { err = v.run() })
		if err != nil {
			rt.Fatal(err)
		}
	})
}
