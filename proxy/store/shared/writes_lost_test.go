package shared

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/proxy/write"
	"github.com/penstock/penstock/proxy/write/storetest"
	"github.com/penstock/penstock/test/redistest"
)

// accepting are bounds that allow writes to a Redis that evicts.
func accepting() write.Bounds {
	b := storetest.Wide
	b.AcceptEviction = true
	return b
}

// TestEvictingRedisIsRefused checks that a Redis that may evict acknowledged writes gets none,
// unless the operator accepts that, and that it gets writes again after its policy has been
// corrected.
func TestEvictingRedisIsRefused(t *testing.T) {
	for _, c := range []struct {
		policy, memory string
		bounds         write.Bounds
		refused        bool
	}{
		{"allkeys-lru", "64mb", storetest.Wide, true}, {"allkeys-lfu", "64mb", storetest.Wide, true}, {"allkeys-random", "64mb", storetest.Wide, true},
		{"allkeys-lru", "64mb", accepting(), false}, {"allkeys-lru", "0", storetest.Wide, false},
		{"volatile-lru", "64mb", storetest.Wide, false}, {"volatile-ttl", "64mb", storetest.Wide, false}, {"noeviction", "64mb", storetest.Wide, false},
	} {
		t.Run(fmt.Sprintf("%s %s %v", c.policy, c.memory, c.bounds.AcceptEviction), func(t *testing.T) {
			s := redistest.Start(t, "--maxmemory", c.memory, "--maxmemory-policy", c.policy)
			w := queueOf(t, s.URL(), c.bounds)
			if _, err := w.Add(t.Context(), storetest.New("/a")); errors.Is(err, write.ErrUnsafe) != c.refused || !c.refused && err != nil {
				t.Fatalf("%v, refused should be %v", err, c.refused)
			}
			if problem := w.Problem(); (problem != nil) != c.refused || c.refused && !strings.Contains(problem.Error(), "writes.accept_eviction") {
				t.Errorf("told to operators: %v", problem)
			}
			if !c.refused {
				return
			}
			s.Must("CONFIG", "SET", "maxmemory-policy", "noeviction")
			if err := w.checkDurability(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Add(t.Context(), storetest.New("/a")); err != nil || w.Problem() != nil {
				t.Errorf("after it was set right: %v, %v", err, w.Problem())
			}
		})
	}
}

// TestPolicyIsAskedAgain checks that a Redis that returns with another policy is checked before it
// gets a write.
func TestPolicyIsAskedAgain(t *testing.T) {
	s := redistest.Start(t, "--maxmemory", "64mb", "--maxmemory-policy", "noeviction")
	w := queueOf(t, s.URL(), storetest.Wide)
	if _, err := w.Add(t.Context(), storetest.New("/a")); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	await(t, w.c, Down)
	s.Restart("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru")
	await(t, w.c, Up)
	if _, err := w.Add(t.Context(), storetest.New("/a")); !errors.Is(err, write.ErrUnsafe) {
		t.Errorf("%v", err)
	}
}

// TestPolicyWithoutRights checks that writes are accepted if the user may not read the policy, and
// that CONFIG is not needed.
func TestPolicyWithoutRights(t *testing.T) {
	for rights, refused := range map[string]bool{"-config": true, "-config -info": false} {
		s := redistest.Start(t, "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru")
		s.Must(append([]string{"ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all"}, strings.Fields(rights)...)...)
		w := queueOf(t, strings.Replace(s.URL(), "redis://", "redis://app:pw@", 1), storetest.Wide)
		if _, err := w.Add(t.Context(), storetest.New("/a")); errors.Is(err, write.ErrUnsafe) != refused || !refused && err != nil {
			t.Errorf("%s: %v", rights, err)
		}
	}
}

// TestLostWritesAreNoticed removes each part of an acknowledged write from Redis. The write must be
// applied or reported as lost, and be counted once.
func TestLostWritesAreNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		lose func(s *redistest.Server, base, id string)
		back bool // true if the write is put back completely and applied
	}{
		"its content":     {func(s *redistest.Server, base, id string) { s.Must("DEL", base+"w:"+id) }, false},
		"the streams":     {func(s *redistest.Server, base, id string) { del(s, base+"s:") }, true},
		"the list":        {func(s *redistest.Server, base, id string) { s.Must("DEL", base+"open") }, true},
		"the figures":     {func(s *redistest.Server, base, id string) { s.Must("DEL", base+"n") }, true},
		"all but content": {func(s *redistest.Server, base, id string) { del(s, base+"s:"); s.Must("DEL", base+"open", base+"n") }, true},
		"content, stream": {func(s *redistest.Server, base, id string) { del(s, base+"s:"); s.Must("DEL", base+"w:"+id) }, false},
		"everything":      {func(s *redistest.Server, base, id string) { s.Must("FLUSHALL") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t)
			b := storetest.Wide
			w, other := queueOf(t, s.URL(), b), queueOf(t, s.URL(), b)
			x := storetest.New("/a")
			if _, err := w.Add(t.Context(), x); err != nil {
				t.Fatal(err)
			}
			c.lose(s, w.base(), x.ID)
			w.auditAll(t.Context())
			other.auditAll(t.Context())
			w.auditAll(t.Context())
			want, lost := write.Queued, int64(0)
			if !c.back {
				want, lost = write.Lost, 1
			}
			r, err := other.Find(t.Context(), x.ID)
			if err != nil || r.Phase != want || !c.back && (r.Host != x.Host || r.Path != x.Path) {
				t.Errorf("its state: %+v, %v; want %s", r, err, want)
			}
			if n := w.lost.Load() + other.lost.Load(); n != lost {
				t.Errorf("%d are counted as lost, want %d", n, lost)
			}
			if applied := applyAll(t, other, 1-int(lost)); c.back && applied[x.ID] != 1 {
				t.Errorf("applied: %v", applied)
			}
			if stats, err := w.Stats(t.Context()); err != nil || stats.Pending != 0 || stats.Bytes != 0 {
				t.Errorf("%+v, %v", stats, err)
			}
		})
	}
}

// del deletes all keys with a prefix.
func del(s *redistest.Server, prefix string) {
	for _, name := range s.Keys(prefix) {
		s.Must("DEL", name)
	}
}

// applyAll works on the queue until n writes were applied and none is pending, and returns how
// often each was applied.
func applyAll(t *testing.T, w *Writes, n int) map[string]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var mu sync.Mutex
	applied := map[string]int{}
	go func() { // ends with ctx
		for ctx.Err() == nil {
			stats, err := w.Stats(ctx)
			mu.Lock()
			if err == nil && len(applied) >= n && stats.Pending == 0 {
				cancel()
			}
			mu.Unlock()
			pause(ctx, 20*time.Millisecond)
		}
	}()
	w.Hold(ctx, func(ctx context.Context, p write.Part) {
		for {
			entries, err := p.Next(ctx)
			if err != nil {
				return
			}
			for _, e := range entries {
				r, err := p.Load(ctx, e)
				switch {
				case errors.Is(err, write.ErrUnknown), errors.Is(err, write.ErrDamaged), err == nil && r.Ended():
					_ = p.Lose(ctx, e)
				case err == nil:
					r.State = write.State{Phase: write.Done, Tries: 1, Updated: time.Now()}
					if p.Put(ctx, e, r) == nil {
						mu.Lock()
						applied[e.ID]++
						mu.Unlock()
					}
				}
			}
		}
	})
	if len(applied) < n {
		t.Errorf("%d of %d were applied", len(applied), n)
	}
	return applied
}

// TestEvictionIsAccountedFor accepts the risk and lets another user fill Redis. Every acknowledged
// write must be applied or reported as lost.
func TestEvictionIsAccountedFor(t *testing.T) {
	s := redistest.Start(t, "--maxmemory", "6mb", "--maxmemory-policy", "allkeys-random")
	w := queueOf(t, s.URL(), accepting())
	var ids []string
	for n := range 100 {
		x := storetest.New(fmt.Sprintf("/%d", n%20))
		x.Body = []byte(strings.Repeat("x", 2000))
		if _, err := w.Add(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, x.ID)
	}
	junk := strings.Repeat("junk", 5000)
	for n := range 600 {
		s.Must("SET", fmt.Sprint("other:", n), junk)
	}
	s.Must("CONFIG", "SET", "maxmemory", "0") // from here on Redis evicts nothing
	w.auditAll(t.Context())
	lost := w.lost.Load()
	if lost == 0 {
		t.Fatal("nothing was evicted: the test shows nothing")
	}
	applied := applyAll(t, w, len(ids)-int(lost))
	for _, id := range ids {
		r, err := w.Find(t.Context(), id)
		if err != nil || applied[id] == 0 && r.Phase != write.Lost || applied[id] > 0 && r.Phase != write.Done || applied[id] > 1 {
			t.Errorf("%s was applied %d times, and its state is %+v, %v", id, applied[id], r, err)
		}
	}
	t.Logf("%d lost, %d applied", w.lost.Load(), len(applied))
	if int(w.lost.Load())+len(applied) != len(ids) {
		t.Errorf("%d lost and %d applied of %d", w.lost.Load(), len(applied), len(ids))
	}
}

// TestOlderDump checks that after a restart from an older dump the writes acknowledged since are
// reported as lost.
func TestOlderDump(t *testing.T) {
	s := redistest.Start(t)
	w := queueOf(t, s.URL(), storetest.Wide)
	before, after := storetest.New("/a"), storetest.New("/b")
	if _, err := w.Add(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	s.Must("SAVE")
	if _, err := w.Add(t.Context(), after); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	await(t, w.c, Down)
	s.Restart()
	await(t, w.c, Up)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	held := make(chan struct{})
	go func() {
		defer close(held)
		w.Hold(ctx, func(ctx context.Context, p write.Part) { <-ctx.Done() })
	}()
	eventually(t, func() error {
		if r, err := w.Find(t.Context(), after.ID); err != nil || r.Phase != write.Lost || w.lost.Load() != 1 {
			return fmt.Errorf("%+v, %v, %d lost", r, err, w.lost.Load())
		}
		return nil
	})
	cancel()
	<-held
	if r, err := w.Find(t.Context(), before.ID); err != nil || r.Phase != write.Queued {
		t.Errorf("the write that the dump has: %+v, %v", r, err)
	}
}

// TestDamagedInRedis checks that an unreadable write is set aside and reported as lost, and blocks
// neither its lane nor the other dead letters.
func TestDamagedInRedis(t *testing.T) {
	s := redistest.Start(t)
	w := queueOf(t, s.URL(), storetest.Wide)
	damaged, sound := storetest.New("/a"), storetest.New("/a")
	for _, x := range []*write.Write{damaged, sound} {
		if _, err := w.Add(t.Context(), x); err != nil {
			t.Fatal(err)
		}
	}
	s.Must("HSET", w.base()+"w:"+damaged.ID, "data", "rubbish")
	if applied := applyAll(t, w, 1); applied[sound.ID] != 1 || len(applied) != 1 {
		t.Errorf("applied: %v", applied)
	}
	if r, err := w.Find(t.Context(), damaged.ID); err != nil || r.Phase != write.Lost || r.Path != "/a" {
		t.Errorf("its state: %+v, %v", r, err)
	}
	if s.Must("GET", w.base()+"a:"+damaged.ID) != "rubbish" || w.lost.Load() != 1 {
		t.Errorf("it is not kept aside, or %d are counted", w.lost.Load())
	}
	var letters []*write.Write
	for n := range 3 {
		x := storetest.New(fmt.Sprint("/letter", n))
		if _, err := w.Add(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		letters = append(letters, x)
	}
	bury(t, w, 3)
	s.Must("HSET", w.base()+"w:"+letters[1].ID, "data", "rubbish")
	for range 2 {
		if list, err := w.Letters(t.Context(), 10); err != nil || len(list) != 2 {
			t.Errorf("%d dead letters, %v; want the 2 that are sound", len(list), err)
		}
	}
	if r, err := w.Find(t.Context(), letters[1].ID); err != nil || r.Phase != write.Lost || w.lost.Load() != 2 {
		t.Errorf("the damaged letter: %+v, %v; %d are counted", r, err, w.lost.Load())
	}
}

// bury makes n writes end as dead letters.
func bury(t *testing.T, w *Writes, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var mu sync.Mutex
	w.Hold(ctx, func(ctx context.Context, p write.Part) {
		for {
			entries, err := p.Next(ctx)
			if err != nil {
				return
			}
			for _, e := range entries {
				r, err := p.Load(ctx, e)
				if err != nil {
					t.Error(err)
					continue
				}
				r.State = write.State{Phase: write.Dead, Tries: 1, Updated: time.Now()}
				if err := p.Put(ctx, e, r); err != nil {
					t.Error(err)
				}
				mu.Lock()
				if n--; n == 0 {
					cancel()
				}
				mu.Unlock()
			}
		}
	})
}

// TestQueueGoesBack restarts Redis from a copy in which a write is unsettled that was settled
// since. The lease of its part may still hold in the copy. The write must be returned once more.
func TestQueueGoesBack(t *testing.T) {
	s := redistest.Start(t)
	w := queueOf(t, s.URL(), storetest.Wide)
	x := storetest.New("/a")
	if _, err := w.Add(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var mu sync.Mutex
	returned := 0
	w.Hold(ctx, func(ctx context.Context, p write.Part) {
		for {
			entries, err := p.Next(ctx)
			if err != nil && ctx.Err() != nil {
				return
			}
			for _, e := range entries {
				mu.Lock()
				returned++
				first := returned == 1
				mu.Unlock()
				if !first {
					cancel()
					if !e.Again {
						t.Error("the write is returned once more without a word that it may have been sent")
					}
					return
				}
				dump, err := s.Dump()
				if err != nil {
					t.Error(err)
				}
				r, err := p.Load(ctx, e)
				if err == nil {
					r.State = write.State{Phase: write.Done, Tries: 1, Updated: time.Now()}
					err = p.Put(ctx, e, r)
				}
				if err != nil {
					t.Error(err)
				}
				s.RestartFrom(dump)
			}
			pause(ctx, 10*time.Millisecond)
		}
	})
	if returned != 2 {
		t.Errorf("the write was returned %d times, want 2", returned)
	}
}
