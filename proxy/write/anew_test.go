package write_test

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/proxy/write"
	"github.com/penstock/penstock/proxy/write/storetest"
)

// goesBack is a store that returns entries once more, and that can forget that a write has ended.
type goesBack struct {
	write.Store
	anew   chan struct{}
	forget chan string // ID of the write that the next Load finds as it was before its first attempt
	loads  map[string]int
}

func (s *goesBack) Hold(ctx context.Context, work func(context.Context, write.Part)) {
	s.Store.Hold(ctx, func(ctx context.Context, p write.Part) { work(ctx, &partThatGoesBack{Part: p, s: s}) })
}

type partThatGoesBack struct {
	write.Part
	s    *goesBack
	seen []write.Entry // so far
}

func (p *partThatGoesBack) Next(ctx context.Context) ([]write.Entry, error) {
	if len(p.seen) == 0 {
		entries, err := p.Part.Next(ctx)
		p.seen = entries
		return entries, err
	}
	select {
	case <-p.s.anew:
		return p.seen, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *partThatGoesBack) Load(ctx context.Context, e write.Entry) (*write.Record, error) {
	p.s.loads[e.ID]++
	r, err := p.Part.Load(ctx, e)
	select {
	case id := <-p.s.forget:
		if id == e.ID {
			r.State = write.State{Phase: write.Queued}
		}
	default:
	}
	return r, err
}

// TestEntriesAreReturnedAnew returns all entries of a lane several times while its first write is
// sent. They must not pile up. The first write is sent once more only if the store has gone back to
// a time at which it was not settled.
func TestEntriesAreReturnedAnew(t *testing.T) {
	for name, c := range map[string]struct {
		forgets bool
		want    []string
	}{
		"settled":     {false, []string{"first", "second"}},
		"not settled": {true, []string{"first", "first again", "second"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "w.db")
			synctest.Test(t, func(t *testing.T) {
				first, second := storetest.New("/a"), storetest.New("/a")
				release := make(chan struct{})
				var sent []string
				q := opened(t, path, 1, func(_ context.Context, w *write.Write, again bool) write.Outcome {
					what := "first"
					if w.ID == second.ID {
						what = "second"
					}
					if again {
						what += " again"
					}
					sent = append(sent, what)
					<-release
					return write.Outcome{Status: 204}
				})
				s := &goesBack{Store: q.Store, anew: make(chan struct{}), forget: make(chan string, 2), loads: map[string]int{}}
				for _, w := range []*write.Write{first, second} {
					if _, err := q.Store.Add(t.Context(), w); err != nil {
						t.Fatal(err)
					}
				}
				q.Store = s
				q.Start()
				synctest.Wait() // the first write is being sent
				for range 5 {
					s.anew <- struct{}{}
				}
				synctest.Wait()
				if c.forgets {
					s.forget <- first.ID
				}
				close(release)
				for _, w := range []*write.Write{first, second} {
					if r := isDone(t, q.Store, w.ID); r.Phase != write.Done {
						t.Errorf("%+v", r.State)
					}
				}
				time.Sleep(time.Minute)
				if err := q.Close(t.Context()); err != nil {
					t.Error(err)
				}
				if !slices.Equal(sent, c.want) {
					t.Errorf("sent: %q, want %q", sent, c.want)
				}
				if s.loads[first.ID] != 2 || s.loads[second.ID] != 1 {
					t.Errorf("loaded %d and %d times, want 2 and 1", s.loads[first.ID], s.loads[second.ID])
				}
			})
		})
	}
}
