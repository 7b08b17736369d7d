package write_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/proxy/write"
	"github.com/penstock/penstock/proxy/write/file"
	"github.com/penstock/penstock/proxy/write/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// opened returns a queue over a file. The caller closes it.
func opened(tb testing.TB, path string, workers int, apply func(context.Context, *write.Write, bool) write.Outcome) *write.Queue {
	tb.Helper()
	s, err := file.Open(path, storetest.Wide, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	return write.New(write.Config{
		Store: s, Workers: workers, Apply: apply, Now: time.Now, Random: func() float64 { return 0.5 }, Log: slog.New(slog.DiscardHandler),
	})
}

// isDone waits until a write has ended.
func isDone(tb testing.TB, s write.Store, id string) *write.Record {
	tb.Helper()
	for end := time.Now().Add(time.Hour); ; time.Sleep(100 * time.Millisecond) {
		r, err := s.Find(context.Background(), id)
		if err != nil {
			tb.Fatal(err)
		}
		if r.Ended() {
			return r
		}
		if time.Now().After(end) {
			tb.Fatalf("%s is %+v", id, r.State)
		}
	}
}

// TestAttemptsWait checks the pauses between the attempts of one write.
func TestAttemptsWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.db")
	synctest.Test(t, func(t *testing.T) {
		answers := []write.Outcome{{Status: 500}, {Err: errors.New("x")}, {Status: 429, RetryAfter: 90 * time.Second}, {Status: 503}, {Status: 204}}
		var tries []time.Time
		var again []bool
		q := opened(t, path, 1, func(_ context.Context, _ *write.Write, a bool) write.Outcome {
			tries, again = append(tries, time.Now()), append(again, a)
			return answers[len(tries)-1]
		})
		q.Start()
		w := storetest.New("/a")
		w.Policy = write.Policy{Retries: 4, Backoff: 4 * time.Second, MaxBackoff: 10 * time.Second}
		if _, err := q.Store.Add(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		if r := isDone(t, q.Store, w.ID); r.Phase != write.Done || r.Tries != 5 {
			t.Errorf("%+v", r.State)
		}
		var waits []time.Duration
		for i := range tries[1:] {
			waits = append(waits, tries[i+1].Sub(tries[i]).Round(100*time.Millisecond))
		}
		if want := []time.Duration{3 * time.Second, 6 * time.Second, 90 * time.Second, 7500 * time.Millisecond}; !slices.Equal(waits, want) {
			t.Errorf("it waited %v, want %v", waits, want)
		}
		if !slices.Equal(again, []bool{false, true, true, true, true}) {
			t.Errorf("again: %v", again)
		}
		if err := q.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestAClockThatWasAheadDelaysNoTry makes a queue whose clock is a minute ahead attempt a write. The
// next queue has the right clock and must not wait for that minute.
func TestAClockThatWasAheadDelaysNoTry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.db")
	synctest.Test(t, func(t *testing.T) {
		tried := make(chan struct{}, 10)
		q := opened(t, path, 1, func(context.Context, *write.Write, bool) write.Outcome {
			tried <- struct{}{}
			return write.Outcome{Status: 500}
		})
		q.Now = func() time.Time { return time.Now().Add(time.Minute) }
		q.Start()
		w := storetest.New("/a")
		w.Policy = write.Policy{Retries: 4, Backoff: 4 * time.Second, MaxBackoff: 10 * time.Second}
		if _, err := q.Store.Add(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		<-tried
		synctest.Wait()
		if err := q.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		q = opened(t, path, 1, func(context.Context, *write.Write, bool) write.Outcome { return write.Outcome{Status: 204} })
		q.Start()
		if r := isDone(t, q.Store, w.ID); r.Phase != write.Done || time.Since(start) > w.Policy.MaxBackoff {
			t.Errorf("after %v: %+v", time.Since(start), r.State)
		}
		if err := q.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestOrderAndBounds checks, with random failures and across restarts, that each lane is applied in
// order and without gaps, that no two writes of a lane run at once, and that at most as many writes
// run at once as there are workers.
func TestOrderAndBounds(t *testing.T) {
	dir := t.TempDir()
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		if round++; round > 15 { // each round opens and syncs files
			return
		}
		path := filepath.Join(dir, fmt.Sprint(round))
		workers := rapid.IntRange(1, 4).Draw(rt, "workers")
		fails := rapid.SliceOfN(rapid.IntRange(0, 3), 40, 40).Draw(rt, "failures")
		paths := rapid.SliceOfN(rapid.IntRange(0, 5), 1, 40).Draw(rt, "paths")
		restart := rapid.IntRange(0, len(paths)).Draw(rt, "restart")
		synctest.Test(t, func(t *testing.T) {
			m := &model{fails: fails, log: map[string][]string{}, busy: map[string]bool{}}
			q := opened(t, path, workers, m.apply)
			q.Start()
			want := map[string][]string{}
			for n, p := range paths {
				if n == restart {
					if err := q.Close(t.Context()); err != nil {
						t.Fatal(err)
					}
					q = opened(t, path, workers, m.apply)
					q.Start()
				}
				w := storetest.New(fmt.Sprintf("/%d", p))
				w.Body = []byte(fmt.Sprint(n))
				w.Policy = write.Policy{Retries: 5, Backoff: time.Second, MaxBackoff: time.Minute, DeadLetter: true}
				want[w.Path] = append(want[w.Path], string(w.Body))
				if _, err := q.Store.Add(t.Context(), w); err != nil {
					t.Fatal(err)
				}
			}
			for {
				stats, err := q.Store.Stats(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if stats.Pending == 0 {
					break
				}
				time.Sleep(time.Second)
			}
			if err := q.Close(t.Context()); err != nil {
				t.Error(err)
			}
			for path, numbers := range want {
				if !slices.Equal(m.log[path], numbers) {
					t.Errorf("%s: %v, want %v", path, m.log[path], numbers)
				}
			}
			if m.most > workers || m.overlap {
				t.Errorf("%d at once for %d workers; two of one lane: %t", m.most, workers, m.overlap)
			}
		})
	})
}

// model is an upstream at which each write fails a number of times.
type model struct {
	mu        sync.Mutex
	fails     []int
	log       map[string][]string
	busy      map[string]bool
	now, most int
	overlap   bool
}

func (m *model) apply(_ context.Context, w *write.Write, _ bool) write.Outcome {
	m.mu.Lock()
	m.now++
	m.most = max(m.most, m.now)
	m.overlap = m.overlap || m.busy[w.Path]
	m.busy[w.Path] = true
	m.mu.Unlock()
	time.Sleep(10 * time.Millisecond)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now--
	m.busy[w.Path] = false
	var n int
	fmt.Sscan(string(w.Body), &n)
	if m.fails[n] > 0 {
		m.fails[n]--
		return write.Outcome{Status: 503}
	}
	m.log[w.Path] = append(m.log[w.Path], string(w.Body))
	return write.Outcome{Status: 200}
}

// TestCloseWaits checks that running attempts end by themselves if there is time, that they are
// aborted otherwise, and that no write is lost.
func TestCloseWaits(t *testing.T) {
	for _, patience := range []time.Duration{time.Minute, time.Second} {
		path := filepath.Join(t.TempDir(), "w.db")
		synctest.Test(t, func(t *testing.T) {
			began := make(chan struct{}, 1)
			q := opened(t, path, 1, func(ctx context.Context, _ *write.Write, _ bool) write.Outcome {
				began <- struct{}{}
				select {
				case <-time.After(10 * time.Second):
					return write.Outcome{Status: 200}
				case <-ctx.Done():
					return write.Outcome{Err: ctx.Err()}
				}
			})
			q.Start()
			w := storetest.New("/a")
			if _, err := q.Store.Add(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			<-began
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := q.Close(ctx); err != nil {
				t.Error(err)
			}
			s, err := file.Open(path, storetest.Wide, time.Now, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			r, err := s.Find(t.Context(), w.ID)
			if err != nil {
				t.Fatal(err)
			}
			if want := map[bool]write.Phase{true: write.Done, false: write.Queued}[patience > 10*time.Second]; r.Phase != want || r.Tries > 1 {
				t.Errorf("with %v: %+v", patience, r.State)
			}
		})
	}
}
