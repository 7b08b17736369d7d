package shared

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/proxy/write"
	"github.com/penstock/penstock/proxy/write/storetest"
	"github.com/penstock/penstock/test/redistest"
)

// queueOf opens the queue of writes at url, as another instance each time.
func queueOf(t *testing.T, url string, b write.Bounds) *Writes {
	t.Helper()
	prefix := strings.NewReplacer("/", ".", " ", "-").Replace(t.Name())
	c := open(t, Config{URL: url, Timeout: 5 * time.Second, Prefix: prefix})
	await(t, c, Up)
	return NewWrites(c, b)
}

func TestWriteStore(t *testing.T) {
	url := redistest.Start(t).URL()
	storetest.Run(t, func(t *testing.T, b write.Bounds) write.Store { return queueOf(t, url, b) })
}

func TestWriteStoreInACluster(t *testing.T) {
	url := redistest.StartCluster(t, 3).URL()
	storetest.Run(t, func(t *testing.T, b write.Bounds) write.Store { return queueOf(t, url, b) })
}

// TestPartsAreShared checks that two live instances divide the parts, that each part has one
// holder, and that the parts of a dead instance go to the other.
func TestPartsAreShared(t *testing.T) {
	url := redistest.Start(t).URL()
	a, b := queueOf(t, url, storetest.Wide), queueOf(t, url, storetest.Wide)
	hold := func(w *Writes) (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.Hold(ctx, func(ctx context.Context, p write.Part) { <-ctx.Done() })
		}()
		return func() { cancel(); <-done }
	}
	count := func(w *Writes) (n int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, p := range w.parts {
			if p.held.Err() == nil {
				n++
			}
		}
		return n
	}
	want := func(na, nb int) {
		t.Helper()
		eventually(t, func() error {
			if count(a) != na || count(b) != nb {
				return errors.New("the parts are not divided as they should be")
			}
			return nil
		})
	}
	stopA := hold(a)
	want(write.Partitions, 0)
	stopB := hold(b)
	want(write.Partitions/2, write.Partitions/2)
	stopA()
	want(0, write.Partitions)
	stopB()
	want(0, 0)
}

// TestLostPartIsNotTouched checks that an instance that has lost a lease can neither read nor
// record anything, and is told to stop.
func TestLostPartIsNotTouched(t *testing.T) {
	s := redistest.Start(t)
	w := queueOf(t, s.URL(), storetest.Wide)
	x := storetest.New("/a")
	if _, err := w.Add(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.Hold(ctx, func(ctx context.Context, p write.Part) {
		if p.(*part).n != write.PartitionOf(x.Lane()) {
			<-ctx.Done()
			return
		}
		defer cancel()
		entries, err := p.Next(ctx)
		if err != nil || len(entries) != 1 {
			t.Errorf("%v, %v", entries, err)
			return
		}
		r, err := p.Load(ctx, entries[0])
		if err != nil {
			t.Error(err)
			return
		}
		for _, name := range s.Keys(w.base() + "l:") {
			s.Must("SET", name, "another's")
		}
		r.Phase = write.Done
		if err := p.Put(context.Background(), entries[0], r); !errors.Is(err, write.ErrLost) {
			t.Errorf("Put: %v", err)
		}
		if _, err := p.Next(context.Background()); !errors.Is(err, write.ErrLost) {
			t.Errorf("Next: %v", err)
		}
		select {
		case <-p.Held().Done():
		case <-time.After(10 * time.Second):
			t.Error("it is not told")
		}
	})
	if r, err := w.Find(t.Context(), x.ID); err != nil || r.Phase != write.Queued {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestNotStoredIsNotAcknowledged checks that without Redis no write is accepted, and that the
// refusal is immediate once Redis is known to be down.
func TestNotStoredIsNotAcknowledged(t *testing.T) {
	s := redistest.Start(t)
	c := dial(t, s.URL())
	w := NewWrites(c, storetest.Wide)
	s.Stop()
	if id, err := w.Add(t.Context(), storetest.New("/a")); err == nil {
		t.Errorf("accepted as %s", id)
	}
	await(t, c, Down)
	if _, err := w.Add(t.Context(), storetest.New("/a")); !errors.Is(err, ErrOpen) {
		t.Errorf("%v", err)
	}
}
