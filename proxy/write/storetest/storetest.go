// Package storetest checks that a store fulfils the contract of write.Store.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/proxy/write"
)

// Open opens a store with bounds. If it is opened again, it holds the writes stored before.
type Open func(t *testing.T, b write.Bounds) write.Store

// Wide are bounds that no test here reaches.
var Wide = write.Bounds{Max: 1 << 20, Bytes: 1 << 40, Keep: time.Hour, Dead: 1 << 20, DeadAge: time.Hour}

// patience is how long a test waits for a required event.
const patience = 20 * time.Second

// New returns a write.
func New(path string) *write.Write {
	return &write.Write{
		ID: fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64()), Route: "r", Method: "PUT", Scheme: "http", Host: "h", Path: path, Query: "q=1",
		Header: http.Header{"A": {"b", "c"}}, Body: []byte("body of " + path), Accepted: time.Now().UTC().Truncate(time.Millisecond),
		Policy: write.Policy{Retries: 1, Backoff: time.Second, MaxBackoff: time.Minute, DeadLetter: true},
	}
}

// Run tests the stores that open returns.
func Run(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, Open){
		"found": found, "ordered": ordered, "bounded": bounded, "keys": keys, "seen": seen, "letters": letters, "bounded letters": boundedLetters,
		"again": again, "many at once": manyAtOnce,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

// add stores a write that must be accepted.
func add(t *testing.T, s write.Store, w *write.Write) {
	t.Helper()
	id, err := s.Add(t.Context(), w)
	if err != nil || id != w.ID {
		t.Fatalf("Add: %q, %v; want %q", id, err, w.ID)
	}
}

// work holds s until f returns true, and calls f with each entry and its part, one at a time.
func work(t *testing.T, s write.Store, f func(p write.Part, e write.Entry) (enough bool)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var mu sync.Mutex
	enough := false
	s.Hold(ctx, func(ctx context.Context, p write.Part) {
		for {
			entries, err := p.Next(ctx)
			if err != nil {
				return
			}
			mu.Lock()
			for _, e := range entries {
				if !enough && f(p, e) {
					enough = true
					cancel()
				}
			}
			mu.Unlock()
		}
	})
	if !enough {
		t.Fatal("timed out waiting for the expected entries")
	}
}

func settle(t *testing.T, p write.Part, e write.Entry, phase write.Phase) {
	t.Helper()
	r, err := p.Load(t.Context(), e)
	if err != nil {
		t.Errorf("Load: %v", err)
		return
	}
	r.State = write.State{Phase: phase, Tries: r.Tries + 1, Status: 200, Updated: time.Now().UTC()}
	if err := p.Put(t.Context(), e, r); err != nil {
		t.Errorf("Put: %v", err)
	}
}

func found(t *testing.T, open Open) {
	s := open(t, Wide)
	w := New("/a")
	add(t, s, w)
	r, err := s.Find(t.Context(), w.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w, r.Write); diff != "" || r.Phase != write.Queued {
		t.Errorf("%s: %s", r.Phase, diff)
	}
	if _, err := s.Find(t.Context(), New("/").ID); !errors.Is(err, write.ErrUnknown) {
		t.Errorf("Find of an unknown write: %v", err)
	}
	if stats, err := s.Stats(t.Context()); err != nil || stats.Pending != 1 || stats.Bytes != w.Size() || stats.Dead != 0 {
		t.Errorf("%+v, %v", stats, err)
	}
	work(t, s, func(p write.Part, e write.Entry) bool {
		settle(t, p, e, write.Done)
		return true
	})
	r, err = s.Find(t.Context(), w.ID)
	if err != nil || r.Phase != write.Done || r.Tries != 1 || r.Body != nil || r.Header != nil || r.Path != "/a" {
		t.Errorf("%+v, %v", r, err)
	}
	if stats, err := s.Stats(t.Context()); err != nil || stats != (write.Stats{}) {
		t.Errorf("%+v, %v", stats, err)
	}
}

// ordered checks that each lane is delivered in the order in which it was stored.
func ordered(t *testing.T, open Open) {
	s := open(t, Wide)
	want := map[string][]string{}
	for n := range 60 {
		w := New(fmt.Sprintf("/%d", n%7))
		add(t, s, w)
		want[w.Lane()] = append(want[w.Lane()], w.ID)
	}
	got, n := map[string][]string{}, 0
	work(t, s, func(p write.Part, e write.Entry) bool {
		got[e.Lane] = append(got[e.Lane], e.ID)
		settle(t, p, e, write.Done)
		n++
		return n == 60
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func bounded(t *testing.T, open Open) {
	b := Wide
	b.Max = 2
	s := open(t, b)
	add(t, s, New("/a"))
	add(t, s, New("/b"))
	if _, err := s.Add(t.Context(), New("/c")); !errors.Is(err, write.ErrFull) {
		t.Errorf("a write beyond the bound: %v", err)
	}
	n := 0
	work(t, s, func(p write.Part, e write.Entry) bool {
		settle(t, p, e, write.Done)
		n++
		return n == 2
	})
	add(t, s, New("/d"))
	large := New("/e")
	large.Body = make([]byte, 4096)
	b.Max, b.Bytes = 10, 4000
	if _, err := open(t, b).Add(t.Context(), large); !errors.Is(err, write.ErrFull) {
		t.Errorf("a write that is too large: %v", err)
	}
}

func keys(t *testing.T, open Open) {
	s := open(t, Wide)
	first, same, other := New("/k"), New("/k"), New("/k")
	for _, w := range []*write.Write{first, same, other} {
		w.Key, w.Print = write.Digest{1}, write.Digest{2}
	}
	other.Print = write.Digest{3}
	add(t, s, first)
	if id, err := s.Add(t.Context(), same); err != nil || id != first.ID {
		t.Errorf("the same write again: %s, %v", id, err)
	}
	if _, err := s.Add(t.Context(), other); !errors.Is(err, write.ErrConflict) {
		t.Errorf("the same key with another payload: %v", err)
	}
	work(t, s, func(p write.Part, e write.Entry) bool {
		settle(t, p, e, write.Done)
		return true
	})
	if id, err := s.Add(t.Context(), same); err != nil || id != first.ID {
		t.Errorf("the same write after it was done: %s, %v", id, err)
	}
	if stats, err := s.Stats(t.Context()); err != nil || stats.Pending != 0 {
		t.Errorf("%+v, %v", stats, err)
	}
}

func seen(t *testing.T, open Open) {
	s := open(t, Wide)
	first, second := New("/s"), New("/s")
	first.Seen, second.Seen = "h/s?", "h/s?"
	add(t, s, first)
	add(t, s, second)
	if w, err := s.Newest(t.Context(), "h/s?"); err != nil || w.ID != second.ID {
		t.Errorf("%+v, %v", w, err)
	}
	if _, err := s.Newest(t.Context(), "h/x?"); !errors.Is(err, write.ErrUnknown) {
		t.Errorf("Newest of an unwritten resource: %v", err)
	}
	n := 0
	work(t, s, func(p write.Part, e write.Entry) bool {
		settle(t, p, e, write.Done)
		if n++; n == 1 {
			if w, err := s.Newest(t.Context(), "h/s?"); err != nil || w.ID != second.ID {
				t.Errorf("after the first was applied: %+v, %v", w, err)
			}
		}
		return n == 2
	})
	if _, err := s.Newest(t.Context(), "h/s?"); !errors.Is(err, write.ErrUnknown) {
		t.Errorf("after both: %v", err)
	}
}

func letters(t *testing.T, open Open) {
	s := open(t, Wide)
	w := New("/l")
	w.Seen = "h/l?"
	add(t, s, w)
	bury := func() {
		work(t, s, func(p write.Part, e write.Entry) bool {
			settle(t, p, e, write.Dead)
			return true
		})
	}
	bury()
	list, err := s.Letters(t.Context(), 10)
	if err != nil || len(list) != 1 || list[0].ID != w.ID || string(list[0].Body) != string(w.Body) || list[0].Phase != write.Dead {
		t.Fatalf("%+v, %v", list, err)
	}
	if stats, _ := s.Stats(t.Context()); stats.Dead != 1 || stats.Pending != 0 || stats.Bytes != 0 {
		t.Errorf("%+v", stats)
	}
	if _, err := s.Newest(t.Context(), w.Seen); !errors.Is(err, write.ErrUnknown) {
		t.Errorf("Newest returns a dead letter: %v", err)
	}
	if err := s.Replay(t.Context(), w.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Replay(t.Context(), w.ID); !errors.Is(err, write.ErrUnknown) {
		t.Errorf("replayed twice: %v", err)
	}
	if r, err := s.Find(t.Context(), w.ID); err != nil || r.Phase != write.Queued {
		t.Errorf("%+v, %v", r, err)
	}
	bury()
	if err := s.Drop(t.Context(), w.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Drop(t.Context(), w.ID); !errors.Is(err, write.ErrUnknown) {
		t.Errorf("dropped twice: %v", err)
	}
	if r, err := s.Find(t.Context(), w.ID); err != nil || r.Phase != write.Dropped || r.Body != nil {
		t.Errorf("%+v, %v", r, err)
	}
	if stats, _ := s.Stats(t.Context()); stats != (write.Stats{}) {
		t.Errorf("%+v", stats)
	}
}

func boundedLetters(t *testing.T, open Open) {
	b := Wide
	b.Dead = 3
	s := open(t, b)
	var ids []string
	for range 5 {
		w := New("/one lane")
		add(t, s, w)
		ids = append(ids, w.ID)
	}
	n := 0
	work(t, s, func(p write.Part, e write.Entry) bool {
		time.Sleep(2 * time.Millisecond) // letters are ordered by their time
		settle(t, p, e, write.Dead)
		n++
		return n == 5
	})
	var got []string
	list, err := s.Letters(t.Context(), 10)
	for _, r := range list {
		got = append(got, r.ID)
	}
	if diff := cmp.Diff(ids[2:], got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if stats, _ := s.Stats(t.Context()); stats.Dead != 3 {
		t.Errorf("%+v", stats)
	}
}

// again checks that unsettled writes are delivered again to the next holder, in order and before
// later writes.
func again(t *testing.T, open Open) {
	s := open(t, Wide)
	var want []string
	for range 5 {
		w := New("/lane")
		add(t, s, w)
		want = append(want, w.ID)
	}
	n := 0
	work(t, s, func(p write.Part, e write.Entry) bool {
		if n == 0 {
			settle(t, p, e, write.Done)
		}
		n++
		return n == 5
	})
	if s.Close() != nil {
		t.Fatal("Close failed")
	}
	s = open(t, Wide)
	late := New("/lane")
	add(t, s, late)
	want = append(want[1:], late.ID)
	var got []string
	work(t, s, func(p write.Part, e write.Entry) bool {
		if e.ID != late.ID && !e.Again {
			t.Errorf("%s is delivered as if it had not been read before", e.ID)
		}
		got = append(got, e.ID)
		settle(t, p, e, write.Done)
		return len(got) == len(want)
	})
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func manyAtOnce(t *testing.T, open Open) {
	s := open(t, Wide)
	var adding sync.WaitGroup
	var failed atomic.Int64
	for n := range 200 {
		adding.Go(func() {
			if _, err := s.Add(context.Background(), New(fmt.Sprintf("/%d", n%20))); err != nil {
				failed.Add(1)
			}
		})
	}
	n := 0
	work(t, s, func(p write.Part, e write.Entry) bool {
		settle(t, p, e, write.Done)
		n++
		return n == 200
	})
	adding.Wait()
	if failed.Load() > 0 {
		t.Errorf("%d were not stored", failed.Load())
	}
}
