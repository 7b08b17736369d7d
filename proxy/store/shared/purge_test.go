package shared

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
	"github.com/penstock/penstock/proxy/store/storetest"
	"github.com/penstock/penstock/test/redistest"
)

// node is the purging part of an instance.
type node struct {
	*Purges
	client *Client
	epochs *store.Epochs

	mu      sync.Mutex
	applied []store.Purge
}

// join starts an instance, and waits until it is current.
func join(t testing.TB, url, name string) *node {
	return joinWith(t, url, name, limits{1000, 1000, 1000, time.Minute})
}

func joinWith(t testing.TB, url, name string, l limits) *node {
	t.Helper()
	return joinConfig(t, Config{URL: url, Timeout: testTimeout, Instance: name}, l)
}

// joinFor starts an instance that serves its memory for the given time without Redis.
func joinFor(t testing.TB, url, name string, bound time.Duration) *node {
	t.Helper()
	return joinConfig(t, Config{URL: url, Timeout: testTimeout, Instance: name, MaxCutOff: bound}, limits{1000, 1000, 1000, time.Minute})
}

func joinConfig(t testing.TB, c Config, l limits) *node {
	t.Helper()
	n := &node{client: open(t, c), epochs: store.NewEpochs(nil)}
	await(t, n.client, Up)
	n.Purges = newPurges(n.client, n.epochs, func(p store.Purge) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.applied = append(n.applied, p)
	}, l)
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	n.awaitCurrent(t, true)
	return n
}

func (n *node) awaitCurrent(t testing.TB, want bool) {
	t.Helper()
	eventually(t, func() error {
		if n.Current() != want {
			return fmt.Errorf("Current is %v: %+v", !want, n.State())
		}
		return nil
	})
}

// awaitMember waits until n knows another instance.
func (n *node) awaitMember(t testing.TB, name string) {
	t.Helper()
	eventually(t, func() error {
		n.Purges.mu.Lock()
		defer n.Purges.mu.Unlock()
		if !slices.Contains(n.members, name) {
			return fmt.Errorf("%s does not know %s", n.client.Instance(), name)
		}
		return nil
	})
}

// objects returns the objects that apply was called with.
func (n *node) objects() (values []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.applied {
		for _, t := range p.Targets {
			if t.Kind == store.TargetObject {
				values = append(values, t.Value)
			}
		}
	}
	return values
}

func tag(value string) store.Purge {
	return store.Purge{Targets: []store.Target{{Kind: store.TargetTag, Value: value}}}
}

func subject(tags ...string) store.Subject {
	return store.Subject{Route: "r", Host: "example.test", Path: "/a", Tags: tags}
}

func (n *node) fate(born store.Epoch, tags ...string) store.Fate {
	f, _ := n.epochs.SubjectFate(born, subject(tags...))
	return f
}

// purge makes a purge that all instances must apply.
func (n *node) purge(t testing.TB, p store.Purge, instances int) store.Report {
	t.Helper()
	r, err := n.Purge(t.Context(), p, 5*time.Second)
	if err != nil || r.Instances != instances || r.Applied != instances || len(r.Missing) != 0 {
		t.Fatalf("purge of %v: %+v, %v; want %d instances", p.Targets, r, err, instances)
	}
	return r
}

// tell makes a purge without waiting for other instances.
func (n *node) tell(t testing.TB, p store.Purge) {
	t.Helper()
	p.At = time.Now()
	if _, _, err := n.publish(t.Context(), p, "", 5*time.Second); err != nil {
		t.Fatal(err)
	}
}

func three(t testing.TB, url string) []*node {
	return []*node{join(t, url, "a"), join(t, url, "b"), join(t, url, "c")}
}

func TestPurgeReachesAll(t *testing.T) {
	s := redistest.Start(t)
	nodes := three(t, s.URL())
	for i, from := range nodes {
		for _, soft := range []bool{false, true} {
			born := nodes[(i+1)%3].epochs.Now()
			p := tag(fmt.Sprint(i, soft))
			p.Soft = soft
			r := from.purge(t, p, 3)
			want := store.Hard
			if soft {
				want = store.Soft
			}
			for _, n := range nodes {
				if got := n.fate(born, fmt.Sprint(i, soft)); got != want {
					t.Errorf("a response from before a purge by %s is %v on %s, want %v", from.client.Instance(), got, n.client.Instance(), want)
				}
				if n.fate(born, "another") != store.Alive || n.fate(r.Epoch, fmt.Sprint(i, soft)) != store.Alive {
					t.Errorf("on %s: a response with another tag, or from after the purge, is not alive", n.client.Instance())
				}
				if n.epochs.Now() != r.Epoch {
					t.Errorf("%s is at %v, want %v", n.client.Instance(), n.epochs.Now(), r.Epoch)
				}
			}
		}
	}
	for _, n := range nodes {
		n.mu.Lock()
		if len(n.applied) != 6 {
			t.Errorf("%s: %d calls of apply, want one for each of 6 purges", n.client.Instance(), len(n.applied))
		}
		n.mu.Unlock()
		if st := n.State(); !st.Connected || !st.Current || st.Lag != 0 || st.Position != nodes[0].epochs.Now() || st.Since.IsZero() {
			t.Errorf("state %+v", st)
		}
	}
}

func TestPurgeLatency(t *testing.T) {
	s := redistest.Start(t)
	nodes := three(t, s.URL())
	var took []time.Duration
	for i := range 200 {
		took = append(took, nodes[i%3].purge(t, tag(fmt.Sprint(i)), 3).Took)
	}
	slices.Sort(took)
	t.Logf("200 purges, each applied by 3 instances: median %v, worst %v", took[100], took[199])
	if took[100] > 500*time.Millisecond {
		t.Errorf("the median purge takes %v", took[100])
	}
}

func TestConcurrentPurges(t *testing.T) {
	s := redistest.Start(t)
	nodes := three(t, s.URL())
	born := nodes[0].epochs.Now()
	var wg sync.WaitGroup
	const each = 50
	for i, n := range nodes {
		for j := range 4 {
			wg.Go(func() {
				for k := range each {
					n.purge(t, tag(fmt.Sprint(i, j, k)), 3)
				}
			})
		}
	}
	wg.Wait()
	for _, n := range nodes {
		eventually(t, func() error {
			if st := n.State(); st.Position.Fleet() != 12*each || st.Lag != 0 {
				return fmt.Errorf("%+v", st)
			}
			return nil
		})
		for i := range nodes {
			for j := range 4 {
				for k := range each {
					if n.fate(born, fmt.Sprint(i, j, k)) != store.Hard {
						t.Fatalf("%s has missed purge %d %d %d", n.client.Instance(), i, j, k)
					}
				}
			}
		}
		n.mu.Lock()
		if len(n.applied) != 12*each {
			t.Errorf("%s: %d purges applied, want %d", n.client.Instance(), len(n.applied), 12*each)
		}
		n.mu.Unlock()
		n.Purges.mu.Lock()
		if len(n.own) != 0 {
			t.Errorf("%s remembers %d of its purges that the stream has told of", n.client.Instance(), len(n.own))
		}
		n.Purges.mu.Unlock()
	}
}

func TestCutOffAndBack(t *testing.T) {
	s := redistest.Start(t)
	door := redistest.StartProxy(t, s.Addr)
	a, b := join(t, s.URL(), "a"), join(t, door.URL(), "b")
	born := b.epochs.Now()
	door.Refuse()
	b.awaitCurrent(t, false)
	object := store.Target{Kind: store.TargetObject, Value: "000102030405060708090a0b0c0d0e0f"}
	p := tag("x")
	p.Targets = append(p.Targets, object)
	r, err := a.Purge(t.Context(), p, 50*time.Millisecond)
	if err != nil || r.Instances != 2 || r.Applied != 1 || !slices.Equal(r.Missing, []string{"b"}) {
		t.Fatalf("a purge that b can't hear of: %+v, %v", r, err)
	}
	if b.fate(born, "x") != store.Alive || b.fate(b.epochs.Now(), "x") != store.Alive {
		t.Error("an instance that is cut off serves its memory, and fills it")
	}
	if st := b.State(); st.Connected || st.Current || st.Err == nil {
		t.Errorf("cut off: %+v", st)
	}
	late := b.epochs.Now()
	door.Heal()
	b.awaitCurrent(t, true)
	if b.fate(born, "x") != store.Hard || b.fate(late, "x") != store.Hard {
		t.Error("b is current, but did not apply the purges that it missed")
	}
	if !slices.Contains(b.objects(), object.Value) {
		t.Error("b was not told to delete the object")
	}
	a.purge(t, tag("y"), 2)
}

func TestPurgeWithoutRedis(t *testing.T) {
	s := redistest.Start(t)
	door := redistest.StartProxy(t, s.Addr)
	a, b := join(t, s.URL(), "a"), join(t, door.URL(), "b")
	born := b.epochs.Now()
	door.Refuse()
	b.awaitCurrent(t, false)
	r, err := b.Purge(t.Context(), tag("x"), time.Second)
	if !errors.Is(err, store.ErrUnreached) || r.Applied != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if b.fate(born, "x") != store.Hard || b.fate(b.epochs.Now(), "x") != store.Alive || b.fate(born, "z") != store.Alive {
		t.Error("the purge does not hold on the instance itself")
	}
	if a.fate(born, "x") != store.Alive {
		t.Error("how did a hear of it?")
	}
	door.Heal()
	b.awaitCurrent(t, true)
	eventually(t, func() error {
		if a.fate(born, "x") != store.Hard {
			return errors.New("b is back, and a has not been told of its purge")
		}
		return nil
	})
}

func TestPausedRedisBoundsAPurge(t *testing.T) {
	s := redistest.Start(t)
	n := join(t, s.URL(), "a")
	s.Pause()
	began := time.Now()
	_, err := n.Purge(t.Context(), tag("x"), 100*time.Millisecond)
	if took := time.Since(began); !errors.Is(err, store.ErrUnreached) || took > time.Second {
		t.Errorf("%v after %v", err, took)
	}
	s.Resume()
	n.awaitCurrent(t, true)
}

func TestStartWithoutRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Stop()
	c := open(t, Config{URL: s.URL(), Timeout: testTimeout})
	epochs := store.NewEpochs(nil)
	p := NewPurges(c, epochs, nil)
	defer p.Close()
	born := epochs.Now()
	if _, err := p.Purge(t.Context(), tag("x"), time.Second); !errors.Is(err, store.ErrUnreached) {
		t.Error(err)
	}
	if f, _ := epochs.SubjectFate(born, subject("x")); f != store.Hard {
		t.Errorf("purged alone: %v", f)
	}
	s.Restart()
	eventually(t, func() error {
		if !p.Current() {
			return errors.New("not current")
		}
		return nil
	})
	if f, _ := epochs.SubjectFate(born, subject()); f != store.Hard {
		t.Errorf("a response from before the first contact with the fleet's purges is %v", f)
	}
}

func TestRestartedEmpty(t *testing.T) {
	s := redistest.Start(t)
	nodes := three(t, s.URL())
	nodes[0].purge(t, tag("x"), 3)
	born := nodes[0].epochs.Now()
	s.Restart()
	for _, n := range nodes {
		eventually(t, func() error {
			if n.fate(born) != store.Hard || !n.Current() {
				return errors.New("a response from before Redis lost the history is alive")
			}
			return nil
		})
		await(t, n.client, Up)
	}
	if nodes[0].epochs.Now().Era == born.Era || nodes[0].epochs.Now() != nodes[2].epochs.Now() {
		t.Errorf("eras %v, %v after %v", nodes[0].epochs.Now(), nodes[2].epochs.Now(), born)
	}
	nodes[1].purge(t, tag("x"), 3)
}

func TestEmptiedWithoutALostConnection(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	nodes := three(t, s.URL())
	nodes[0].purge(t, tag("x"), 3)
	born := nodes[0].epochs.Now()
	s.Must("FLUSHALL")
	r, err := nodes[1].Purge(t.Context(), tag("y"), 5*time.Second)
	if err != nil || r.Epoch.Era == born.Era {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, n := range nodes {
		eventually(t, func() error {
			if n.fate(born, "other") != store.Hard {
				return fmt.Errorf("%s has not noticed: %+v", n.client.Instance(), n.State())
			}
			return nil
		})
	}
	nodes[2].purge(t, tag("z"), 3)
}

// TestEmptiedAfterManyPurges checks that an instance that connected late in one history continues to
// trust the next history, which has fewer purges.
func TestEmptiedAfterManyPurges(t *testing.T) {
	t.Parallel()
	const bound = 2 * time.Second
	s, door, a, b := cutOff(t, bound)
	for range 20 {
		a.purge(t, tag("x"), 2)
	}
	door.Refuse()
	b.awaitCurrent(t, false)
	door.Heal()
	b.awaitCurrent(t, true)
	old := b.epochs.Now()
	s.Must("FLUSHALL")
	eventually(t, func() error {
		if now := b.epochs.Now(); now.Era == old.Era {
			return fmt.Errorf("b is at %v", now)
		}
		return nil
	})
	for end := time.Now().Add(bound + time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if b.epochs.Doubts() {
			t.Fatalf("b has read the history, and doubts: %+v", b.State())
		}
	}
}

// TestOlderState restarts Redis with an older state: the purges since then are lost, and their
// numbers are used again.
func TestOlderState(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	door := redistest.StartProxy(t, s.Addr)
	a, b := join(t, s.URL(), "a"), join(t, door.URL(), "b")
	for i := range 3 {
		a.purge(t, tag(fmt.Sprint(i)), 2)
	}
	s.Must("SAVE")
	early := a.epochs.Now()
	a.purge(t, tag("lost"), 2)
	a.purge(t, tag("lost too"), 2)
	born := b.epochs.Now()
	door.Refuse()
	b.awaitCurrent(t, false)
	if err := a.Close(); err != nil { // only b knows the lost purges
		t.Fatal(err)
	}
	s.Restart()
	c := join(t, s.URL(), "c")
	if c.fate(early, "lost") != store.Alive {
		t.Fatal("the state is not an older one")
	}
	for i := range 5 { // uses the numbers of the lost purges again, and exceeds them
		c.tell(t, tag(fmt.Sprint("new", i)))
	}
	door.Heal()
	b.awaitCurrent(t, true)
	if b.fate(born, "new0") != store.Hard {
		t.Error("b takes new purges for those that it knew")
	}
	eventually(t, func() error {
		if c.fate(early, "lost") != store.Hard {
			return errors.New("c serves a response that lost purges had removed")
		}
		return nil
	})
	// The older state lists a, which has left since, as a member. Purges report it as missing until
	// its membership expires.
	if r, err := c.Purge(t.Context(), tag("after"), time.Second); err != nil || r.Applied != 2 || !slices.Equal(r.Missing, []string{"a"}) {
		t.Errorf("%+v, %v", r, err)
	}
	if c.fate(c.epochs.Now(), "after") != store.Alive {
		t.Error("nothing can be stored any more")
	}
}

// TestOlderStateOfAnEarlierEra restores a Redis that was emptied from an older copy. The responses
// of that time have been purged and must stay purged for all instances.
func TestOlderStateOfAnEarlierEra(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	a := join(t, s.URL(), "a")
	a.purge(t, tag("x"), 1)
	born := a.epochs.Now()
	dump, err := s.Dump()
	if err != nil {
		t.Fatal(err)
	}
	s.Must("FLUSHALL")
	eventually(t, func() error {
		if a.epochs.Now().Era == born.Era {
			return errors.New("a has not noticed that the history is lost")
		}
		return nil
	})
	a.tell(t, tag("y"))
	s.RestartFrom(dump)
	a.awaitCurrent(t, true)
	b := join(t, s.URL(), "b")
	for _, i := range []*node{a, b} {
		eventually(t, func() error {
			if f := i.fate(born, "y"); f != store.Hard {
				return fmt.Errorf("a response from before the purge is %v", f)
			}
			return nil
		})
	}
	b.purge(t, tag("z"), 2)
	if born := a.epochs.Now(); a.fate(born, "z") != store.Alive {
		t.Error("nothing can be stored any more")
	}
}

// TestPurgesOfOneInstanceAloneAreNotCompared: a stores a response that it fetched after purges of
// its own, which the others do not know. If b purges it alone, the response counts as older.
func TestPurgesOfOneInstanceAloneAreNotCompared(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	a, b := join(t, s.URL(), "a"), join(t, s.URL(), "b")
	a.purge(t, tag("first"), 2)
	for range 3 {
		a.epochs.ApplyLocal(tag("of a"))
	}
	k, q := storetest.Key("x"), request()
	e := variant(t, q, "old")
	e.Epoch = a.epochs.Now()
	mustPut(t, a.client, k, e)
	if f := b.fate(mustGet(t, b.client, k, q).Epoch, "x"); f != store.Alive {
		t.Errorf("before the purge it is %v", f)
	}
	b.epochs.ApplyLocal(tag("x"))
	if f := b.fate(mustGet(t, b.client, k, q).Epoch, "x"); f != store.Hard {
		t.Errorf("after the purge it is %v", f)
	}
}

// TestSameStateAfterRestart checks that a restart without loss purges nothing.
func TestSameStateAfterRestart(t *testing.T) {
	s := redistest.Start(t)
	a := join(t, s.URL(), "a")
	a.purge(t, tag("x"), 1)
	born := a.epochs.Now()
	s.Must("SAVE")
	s.Restart()
	a.awaitCurrent(t, true)
	await(t, a.client, Up)
	eventually(t, func() error {
		r, err := a.Purge(t.Context(), tag("y"), time.Second)
		if err == nil && r.Epoch.Era != born.Era {
			t.Fatal("another era")
		}
		return err
	})
	if a.fate(born, "z") != store.Alive || a.fate(born, "y") != store.Hard {
		t.Errorf("z is %v, y is %v", a.fate(born, "z"), a.fate(born, "y"))
	}
}

func TestTrimmedStream(t *testing.T) {
	s := redistest.Start(t)
	door := redistest.StartProxy(t, s.Addr)
	l := limits{stream: 10, marks: 10_000, objects: 100, window: time.Minute}
	a, b := joinWith(t, s.URL(), "a", l), joinWith(t, door.URL(), "b", l)
	born := b.epochs.Now()
	door.Refuse()
	b.awaitCurrent(t, false)
	object := store.Target{Kind: store.TargetObject, Value: "000102030405060708090a0b0c0d0e0f"}
	a.tell(t, store.Purge{Targets: []store.Target{object}})
	soft := tag("soft")
	soft.Soft = true
	a.tell(t, soft)
	for i := range 500 {
		a.tell(t, tag(fmt.Sprint(i)))
	}
	if n := s.Must("XLEN", a.client.fleetKey("stream")).(int64); n > 400 {
		t.Fatalf("the stream has %d entries", n)
	}
	door.Heal()
	b.awaitCurrent(t, true)
	if b.fate(born, "0") != store.Hard || b.fate(born, "499") != store.Hard || b.fate(born, "soft") != store.Soft {
		t.Errorf("missed purges: %v, %v, soft %v", b.fate(born, "0"), b.fate(born, "499"), b.fate(born, "soft"))
	}
	if b.fate(born, "untouched") != store.Alive {
		t.Error("the state of the history tells of purges that were not made")
	}
	if !slices.Equal(b.objects(), []string{object.Value}) {
		t.Errorf("objects to delete: %q", b.objects())
	}
	if c := joinWith(t, s.URL(), "c", l); c.fate(born, "0") != store.Hard || c.fate(born, "untouched") != store.Alive {
		t.Error("an instance that starts later does not know the state")
	}
}

// TestForgottenObjects: purges of objects are forgotten, so b, which has missed them, can't know
// which objects to delete.
func TestForgottenObjects(t *testing.T) {
	s := redistest.Start(t)
	door := redistest.StartProxy(t, s.Addr)
	l := limits{stream: 10, marks: 1000, objects: 100, window: 0}
	a, b := joinWith(t, s.URL(), "a", l), joinWith(t, door.URL(), "b", l)
	born := b.epochs.Now()
	door.Refuse()
	b.awaitCurrent(t, false)
	for i := range 300 {
		a.tell(t, store.Purge{Targets: []store.Target{{Kind: store.TargetObject, Value: fmt.Sprintf("%032x", i)}}})
	}
	door.Heal()
	b.awaitCurrent(t, true)
	if b.fate(born) != store.Hard {
		t.Error("a response that may be one of the purged objects is served")
	}
	if c := joinWith(t, s.URL(), "c", l); c.fate(born) != store.Alive {
		t.Error("an instance that starts has nothing stored that it could have had to delete")
	}
}

func TestFullMarksLeaveFloors(t *testing.T) {
	s := redistest.Start(t)
	l := limits{stream: 10, marks: 16, objects: 100, window: time.Minute}
	a := joinWith(t, s.URL(), "a", l)
	born := a.epochs.Now()
	for i := range 100 {
		a.purge(t, tag(fmt.Sprint(i)), 1)
	}
	if n := s.Must("ZCARD", a.client.fleetKey("marks")).(int64); n != 16 {
		t.Errorf("%d marks, want 16", n)
	}
	b := joinWith(t, s.URL(), "b", l)
	alive := 0
	for i := range 100 {
		if b.fate(born, fmt.Sprint(i)) != store.Hard {
			t.Errorf("tag %d was forgotten without a floor", i)
		}
		if b.fate(born, fmt.Sprint("other", i)) == store.Alive {
			alive++
		}
	}
	if alive < 90 {
		t.Errorf("the floors of 84 tags hit %d of 100 others", 100-alive)
	}
	if b.fate(b.epochs.Now(), "0") != store.Alive {
		t.Error("floors hit a new response")
	}
}

// cutOff is two instances, of which b can be cut off from Redis.
func cutOff(t *testing.T, bound time.Duration) (s *redistest.Server, door *redistest.Proxy, a, b *node) {
	t.Helper()
	s = redistest.Start(t)
	door = redistest.StartProxy(t, s.Addr)
	a, b = joinFor(t, s.URL(), "a", bound), joinFor(t, door.URL(), "b", bound)
	a.purge(t, tag("x"), 2)
	return s, door, a, b
}

// entry returns a response that n stores now.
func (n *node) entry() (cachepolicy.Key, *store.Entry) {
	k := cachepolicy.KeyOf("key")
	return k, &store.Entry{Epoch: n.epochs.Now(), Tags: []string{"y"}}
}

func TestPurgesNameAnInstanceForAsLongAsItServesWhatTheyPurge(t *testing.T) {
	t.Parallel()
	_, door, a, b := cutOff(t, 3*time.Second)
	k, e := b.entry()
	if f, _ := b.epochs.FateOf(k, e); f != store.Alive {
		t.Fatalf("before the cut: %v", f)
	}
	door.Refuse()
	b.awaitCurrent(t, false)
	for !b.epochs.Doubts() {
		r, err := a.Purge(t.Context(), tag("y"), 20*time.Millisecond)
		if doubts := b.epochs.Doubts(); err != nil || r.Instances != 2 || r.Applied != 1 || !slices.Equal(r.Missing, []string{"b"}) {
			t.Fatalf("%+v, %v; b serves its memory: %v", r, err, !doubts)
		}
	}
	if f, _ := b.epochs.FateOf(k, e); f != store.Doubtful {
		t.Errorf("b has not heard of the purge, and its entry is %v", f)
	}
	r, err := a.Purge(t.Context(), tag("y"), time.Minute) // waits until b is no longer a member
	if err != nil || r.Instances != 1 || r.Applied != 1 || len(r.Missing) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	door.Heal()
	b.awaitCurrent(t, true)
	if b.epochs.Doubts() {
		t.Error("b has read the history, and doubts")
	}
	if f, _ := b.epochs.FateOf(k, e); f != store.Hard {
		t.Errorf("b has heard of the purge, and its entry is %v", f)
	}
	a.purge(t, tag("z"), 2)
}

func TestAnInstanceWithoutABoundIsNamedAndServes(t *testing.T) {
	t.Parallel()
	_, door, a, b := cutOff(t, 0)
	door.Refuse()
	b.awaitCurrent(t, false)
	r, err := a.Purge(t.Context(), tag("y"), 4*time.Second)
	if err != nil || !slices.Equal(r.Missing, []string{"b"}) || b.epochs.Doubts() {
		t.Errorf("%+v, %v; b doubts: %v", r, err, b.epochs.Doubts())
	}
}

// TestMembersOutliveTheServer loses the data of Redis while b is cut off. Purges still report b as
// missing.
func TestMembersOutliveTheServer(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*redistest.Server){
		"flushed":         func(s *redistest.Server) { s.Must("FLUSHALL") },
		"members evicted": func(s *redistest.Server) { s.Must("DEL", "penstock:{fleet}:instances") },
		"restarted empty": func(s *redistest.Server) { s.Restart() },
		"restarted with an older state": func(s *redistest.Server) {
			s.Must("ZREM", "penstock:{fleet}:instances", "b")
			s.Must("SAVE")
			s.Restart()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, door, a, b := cutOff(t, 20*time.Second)
			a.awaitMember(t, "b")
			door.Refuse()
			b.awaitCurrent(t, false)
			lose(s)
			for i := range 4 {
				var r store.Report
				eventually(t, func() (err error) {
					r, err = a.Purge(t.Context(), tag("y"), 10*time.Millisecond)
					return err
				})
				if !slices.Equal(r.Missing, []string{"b"}) {
					t.Fatalf("purge %d: %+v", i, r)
				}
				time.Sleep(beat / 2) // before and after a renews its membership
			}
		})
	}
}

// TestMembersAreKnownAfterAPause loses the data of Redis after a was paused for longer than purges
// wait for an instance. Meanwhile b has renewed its membership, so the purges of a wait for b.
func TestMembersAreKnownAfterAPause(t *testing.T) {
	t.Parallel()
	s, _, a, b := cutOff(t, 10*time.Millisecond)
	a.awaitMember(t, "b")
	a.syncing.Lock()
	defer a.syncing.Unlock()
	time.Sleep(a.membership() + 50*time.Millisecond)
	b.syncing.Lock() // so that it does not become a member of the new fleet
	defer b.syncing.Unlock()
	s.Must("FLUSHALL")
	_, live, err := a.publish(t.Context(), tag("y"), "", time.Second)
	if err != nil || !slices.Contains(live, "b") {
		t.Errorf("the purge waits for %q, %v; want b", live, err)
	}
}

// TestUnpublishedPurgeHitsWhatOthersFetched makes a purge on an instance that can't publish it, but
// goes on to read the history. The instance must not use a response from before the purge that
// another instance has fetched after a later purge of its own.
func TestUnpublishedPurgeHitsWhatOthersFetched(t *testing.T) {
	for name, lose := range map[string]bool{"in the same history": false, "in a new history": true} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t)
			a, b := join(t, s.URL(), "a"), join(t, s.URL(), "b")
			b.scripts.purge = redis.NewScript("return redis.error_reply('ERR not now')")
			if lose {
				s.Must("FLUSHALL")
			}
			if _, err := b.Purge(t.Context(), tag("x"), time.Second); !errors.Is(err, store.ErrUnreached) {
				t.Fatal(err)
			}
			if r, err := a.Purge(t.Context(), tag("y"), 10*time.Second); err != nil {
				t.Fatalf("%+v, %v", r, err)
			}
			born := a.epochs.Now()
			eventually(t, func() error {
				if now := b.epochs.Now(); now.Era != born.Era || now.Fleet() < born.Fleet() {
					return errors.New("b has not heard of the purge of a")
				}
				return nil
			})
			if f := b.fate(born, "x"); f != store.Hard {
				t.Errorf("the response is %v for b, want %v", f, store.Hard)
			}
		})
	}
}

// TestOwnPurgeOfAHistoryThatCannotBeRead makes the purge that begins a new history on an instance
// that can't read it. The purge is in effect on the instance when it is answered.
func TestOwnPurgeOfAHistoryThatCannotBeRead(t *testing.T) {
	s := redistest.Start(t)
	n := join(t, s.URL(), "a")
	born := n.epochs.Now()
	n.syncing.Lock()
	n.scripts.sync = redis.NewScript("return redis.error_reply('ERR not now')")
	n.syncing.Unlock()
	s.Must("FLUSHALL")
	if r, err := n.Purge(t.Context(), tag("x"), time.Second); err != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if f := n.fate(born, "x"); f != store.Hard {
		t.Errorf("a response from before the purge is %v", f)
	}
}

func TestAnInstanceThatHasNeverReadTheHistoryDoubts(t *testing.T) {
	epochs := store.NewEpochs(nil)
	p := newPurges(open(t, Config{URL: "redis://127.0.0.1:1", Timeout: testTimeout, MaxCutOff: time.Hour}), epochs, nil, limits{1, 1, 1, time.Minute})
	t.Cleanup(func() { _ = p.Close() })
	if !epochs.Doubts() {
		t.Error("it trusts its memory")
	}
}

func TestClosedInstanceIsNotWaitedFor(t *testing.T) {
	s := redistest.Start(t)
	a, b := join(t, s.URL(), "a"), join(t, s.URL(), "b")
	a.purge(t, tag("x"), 2)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	a.purge(t, tag("y"), 1)
	if _, err := b.Purge(t.Context(), tag("z"), 0); !errors.Is(err, store.ErrClosed) {
		t.Errorf("a purge after Close: %v", err)
	}
}

func TestPurgesInACluster(t *testing.T) {
	t.Parallel()
	nodes := redistest.StartCluster(t, 3)
	a, b := join(t, nodes.URL(), "a"), join(t, nodes.URL(), "b")
	born := b.epochs.Now()
	a.purge(t, tag("x"), 2)
	b.purge(t, tag("y"), 2)
	if b.fate(born, "x") != store.Hard || a.fate(born, "y") != store.Hard {
		t.Error("not applied")
	}
}

// TestFailoverOfTheHistory stops the node of a cluster that holds the history. When its replica has
// taken over, the instances follow, although the node stays down.
func TestFailoverOfTheHistory(t *testing.T) {
	t.Parallel()
	nodes := redistest.StartReplicatedCluster(t, 3)
	a, b := joinFor(t, nodes.URL(), "a", time.Minute), joinFor(t, nodes.URL(), "b", time.Minute)
	born := b.epochs.Now()
	a.purge(t, tag("x"), 2)
	replica, master := nodes.ReplicaOf(a.client.fleetKey("history"))
	master.Stop()
	b.awaitCurrent(t, false)
	for end := time.Now().Add(30 * time.Second); !replica.IsMaster(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the replica does not take over")
		}
	}
	took := time.Now()
	a.awaitCurrent(t, true)
	b.awaitCurrent(t, true)
	t.Logf("both read the history %v after the replica had taken over", time.Since(took).Round(time.Millisecond))
	// Less than the minute after which the client itself looks for a new primary.
	if took := time.Since(took); took > 10*time.Second {
		t.Errorf("both read the history only %v after the replica had taken over", took)
	}
	var r store.Report
	eventually(t, func() (err error) {
		r, err = a.Purge(t.Context(), tag("y"), 5*time.Second)
		return err
	})
	if r.Instances != 2 || r.Applied != 2 || b.fate(born, "y") != store.Hard {
		t.Errorf("%+v", r)
	}
}

func TestPurgeIsChecked(t *testing.T) {
	s := redistest.Start(t)
	a := join(t, s.URL(), "a")
	for _, p := range []store.Purge{{}, {Targets: []store.Target{{Kind: 99}}}, tag("")} {
		if r, err := a.Purge(t.Context(), p, 0); err == nil {
			t.Errorf("%+v: %+v", p, r)
		}
	}
	if n := a.State().Position.Fleet(); n != 0 {
		t.Errorf("%d purges were published", n)
	}
}

// TestPendingPurgeIsKnownAtOnce checks that a purge that was made without Redis hits responses of the
// shared tier as soon as it is published, before the stream brings it back. The instance may have
// taken over another history in between, and with it forgotten the purge.
func TestPendingPurgeIsKnownAtOnce(t *testing.T) {
	n := join(t, redistest.Start(t).URL(), "a")
	n.cancel()
	n.running.Wait() // from here on nothing reads the stream
	born := n.epochs.Now()
	purge := tag("x")
	purge.At = time.Now()
	n.pending = []store.Purge{purge}
	if err := n.publishPending(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f := n.fate(born, "x"); f != store.Hard {
		t.Errorf("a response from before the purge is %v", f)
	}
	if len(n.pending) != 0 {
		t.Errorf("%d purges are still to be published", len(n.pending))
	}
}
