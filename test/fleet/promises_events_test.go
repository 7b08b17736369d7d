package fleet

import (
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/test/redistest"
)

// cutOff: purges name b, which is refused by Redis, c, which is stopped, and d, which is killed,
// until they can't serve what is purged. Another instance applies the write that d has
// acknowledged.
func (p *promised) cutOff(t *testing.T) {
	d := p.start("d")
	Fleet{p.a, p.b, p.c, d}.Meet(t)
	q := p.page(t, p.a, p.b, p.c, d)
	p.origin.RefuseWrites(true)
	write, state := p.accepted(t, d)
	p.gate.Refuse()
	cut := time.Now()
	p.c.Signal(syscall.SIGSTOP)
	d.Signal(syscall.SIGKILL)
	d.Wait()
	p.origin.RefuseWrites(false)
	p.names(t, q, cut, 3)
	took := p.counted(t, q, named+slack, p.b)
	p.c.Signal(syscall.SIGCONT)
	current(t, p.c, q, p.origin.Version())
	t.Logf("purges named them for %v", took.Round(time.Millisecond))
	p.becomes(t, state, "done")
	if calls := p.origin.Calls(write.Path); len(calls) != 1 {
		t.Errorf("the origin got the write of the killed instance %d times", len(calls))
	}
	p.together(t, q)
}

// failover: until the new primary is known a purge holds on its instance at least, and says how far
// it holds. The others hear of it when Redis is back. A write that has reached the replica is
// applied; others are accepted as soon as they can be kept.
func (p *promised) failover(t *testing.T) {
	for _, old := range p.holders(t) {
		q, told := p.page(t, p.Fleet...), p.page(t, p.Fleet...)
		p.origin.RefuseWrites(true)
		_, state := p.accepted(t, p.a)
		for _, s := range p.redis.Primaries() {
			p.caughtUp(t, s)
		}
		old.Stop()
		p.origin.Bump()
		first := p.a.Purge(Purge{URL: "http://" + Host + told.Path, Wait: "200ms"})
		if first.Status == http.StatusServiceUnavailable {
			current(t, p.a, told, p.origin.Version())
		}
		took := p.counted(t, q, 3*slack, p.Fleet...)
		t.Logf("a purge without the primary was answered %d, and after %v 200", first.Status, took.Round(time.Millisecond))
		_, during := p.accepted(t, p.a)
		p.origin.RefuseWrites(false)
		p.becomes(t, state, "done")
		p.becomes(t, during, "done")
		p.forgets(t, told, p.Fleet...)
		old.Restart(p.redis.TookOver(old)...)
		p.replicated(t)
		p.Meet(t)
	}
}

// caughtUp waits until the replica of a primary has all that the primary has now, and returns the
// replica. WAIT would wait for the writes of its own connection alone.
func (p *promised) caughtUp(t *testing.T, primary *redistest.Server) (replica *redistest.Server) {
	t.Helper()
	all := primary.Replicated()
	eventually(t, "the replica has caught up", 2*slack, func() bool {
		replica = p.redis.ReplicaOf(primary)
		return replica != nil && replica.Replicated() >= all
	})
	return replica
}

// replicated waits until each primary has a replica.
func (p *promised) replicated(t *testing.T) {
	t.Helper()
	eventually(t, "all primaries have a replica", 2*slack, func() bool {
		primaries := p.redis.Primaries()
		for _, s := range primaries {
			if p.redis.ReplicaOf(s) == nil {
				return false
			}
		}
		return 2*len(primaries) == len(p.redis.Servers)
	})
}

// evicts: with a policy that may evict them writes are refused, and what was stored before the
// history went counts as purged.
func (p *promised) evicts(t *testing.T) {
	q := p.page(t, p.Fleet...)
	p.gate.Refuse()
	cut := time.Now()
	p.origin.Bump()
	for _, s := range p.redis.Primaries() {
		s.Must("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
	}
	undo := evict(t, p.redis.HolderOf(history))
	p.forgets(t, q, p.a, p.c)
	undo()
	p.names(t, q, cut, 1)
	unsafe := p.path("queued")
	eventually(t, "a write is refused", 10*time.Second+slack, func() bool {
		time.Sleep(100 * time.Millisecond) // so that few are accepted
		return p.offer(t, p.a, unsafe) == ""
	})
	for _, s := range p.redis.Servers {
		s.Must("CONFIG", "SET", "maxmemory-policy", "noeviction")
	}
	p.together(t, q)
}

const history = "penstock:{fleet}:history"

// evict has a server run out of memory until the history of purges is gone. undo gives it the
// memory back.
func evict(t *testing.T, s *redistest.Server) (undo func()) {
	t.Helper()
	key := func(n int) string { return "penstock:{fleet}:ballast:" + strconv.Itoa(n) } // of the same slot
	s.Must("CONFIG", "SET", "maxmemory", "3mb")
	for n := range 10_000 {
		if there, _ := s.Must("EXISTS", history).(int64); there == 0 {
			return func() {
				s.Must("CONFIG", "SET", "maxmemory", "64mb")
				for _, name := range s.Keys(strings.TrimSuffix(key(0), "0")) {
					s.Must("DEL", name)
				}
			}
		}
		_, _ = s.Do("SET", key(n), strings.Repeat("x", 10_000)) // it may be refused while nothing can be evicted
	}
	t.Fatal("Redis does not evict the history of purges")
	return nil
}

// flushed: everything stored counts as purged, b is named although Redis has forgotten it, and the
// write is told to be lost.
func (p *promised) flushed(t *testing.T) {
	p.emptied(t, func() {
		for _, s := range p.redis.Primaries() {
			s.Must("FLUSHALL")
		}
	})
}

// restarts is flushed with restarts in place of the command.
func (p *promised) restarts(t *testing.T) {
	p.emptied(t, func() {
		for _, s := range p.holders(t) {
			p.redis.RestartEmpty(s)
		}
	})
	if p.redis.Replicated() {
		p.replicated(t)
	}
}

func (p *promised) emptied(t *testing.T, do func()) {
	t.Helper()
	q := p.page(t, p.Fleet...)
	p.origin.RefuseWrites(true)
	_, state := p.accepted(t, p.a)
	p.gate.Refuse()
	cut := time.Now()
	p.origin.Bump()
	do()
	p.forgets(t, q, p.a, p.c)
	p.names(t, q, cut, 1)
	p.becomes(t, state, "lost")
	p.origin.RefuseWrites(false)
	p.together(t, q)
}

// restored: instances know purges that the copy does not have, so everything counts as purged.
// Purges name b, which is cut off, and e, which has left since the copy was made. The copy's writes
// are applied, those that were applied since once more with their key, and later ones are told to
// be lost.
func (p *promised) restored(t *testing.T) {
	e := p.start("e")
	Fleet{p.a, p.b, p.c, e}.Meet(t)
	p.origin.RefuseWrites(true)
	again, applied := p.accepted(t, p.a)
	restore := p.copies(t)
	p.origin.RefuseWrites(false)
	p.becomes(t, applied, "done")
	e.Signal(syscall.SIGTERM)
	e.Wait()
	p.counted(t, p.page(t, p.Fleet...), slack, p.Fleet...)
	p.origin.RefuseWrites(true)
	_, later := p.accepted(t, p.a)
	q := p.page(t, p.Fleet...)
	p.gate.Refuse()
	cut := time.Now()
	p.origin.Bump()
	restore()
	p.forgets(t, q, p.a, p.c)
	p.names(t, q, cut, 2)
	p.becomes(t, later, "lost")
	p.origin.RefuseWrites(false)
	eventually(t, "the write that the copy has is sent once more", slack, func() bool { return len(p.origin.Calls(again.Path)) == 2 })
	if calls := p.origin.Calls(again.Path); calls[0].Key == "" || calls[0].Key != calls[1].Key {
		t.Errorf("it has the keys %q and %q", calls[0].Key, calls[1].Key)
	}
	t.Logf("purges named them for %v more", p.counted(t, q, named+slack, p.b).Round(time.Millisecond))
	p.together(t, q)
}

// copies makes copies of the history and the queue. restore puts them in place: a single server
// restarts with its copy, and of two servers the replica takes over with it.
func (p *promised) copies(t *testing.T) (restore func()) {
	t.Helper()
	dumps := make(map[*redistest.Server][]byte) // by the primary
	holders := p.holders(t)
	for _, s := range holders {
		from := s
		if p.redis.Replicated() {
			from = p.caughtUp(t, s)
		}
		dump, err := from.Dump()
		if err != nil {
			t.Fatal(err)
		}
		dumps[s] = dump
	}
	return func() {
		for _, s := range holders {
			if !p.redis.Replicated() {
				s.RestartFrom(dumps[s])
				continue
			}
			replica := p.redis.ReplicaOf(s)
			s.Stop()
			replica.RestartFrom(dumps[s])
			s.Restart(p.redis.TookOver(s)...)
		}
	}
}
