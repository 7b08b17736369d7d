package check

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/penstock/penstock/test/fleet"
	"github.com/penstock/penstock/test/redistest"
	"github.com/penstock/penstock/test/wrongclock"
)

// member is a place in the fleet, in which an instance runs, and after its end another one.
type member struct {
	name  string
	gate  *redistest.Gate
	setup fleet.Setup
	mu    sync.Mutex
	at    *instance
	lives int
	off   time.Duration // by which the clock is wrong
}

// instance is one that runs, or has run.
type instance struct {
	*fleet.Instance
	life  string
	ended atomic.Bool // it is killed, or the run is over
	known atomic.Bool // its name is
	away  atomic.Bool // stopped or killed: clients leave it alone
}

func (w *world) newMember(name string) *member {
	m := &member{name: name, gate: redistest.StartGate(w.tb, w.redis.Gated...)}
	tier := "timeout: " + redisTimeout.String()
	if w.MaxCutOff > 0 {
		tier += ", max_cut_off: " + w.MaxCutOff.String()
	}
	m.setup = fleet.Setup{Origin: w.origin.URL, Redis: m.gate.URL(w.redis.URL), Tier: tier, Routes: routes}
	w.start(m)
	return m
}

func (m *member) now() *instance {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at
}

// misset has the clock in a place be off. The next instance in the place has the same clock.
func (w *world) misset(m *member, off time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.off = off
	w.setClock(m.at, off)
}

// setClock sets the clock of an instance. It is called once before an instance may be stopped,
// because the first call stops the instance itself.
func (w *world) setClock(i *instance, off time.Duration) {
	if !wrongclock.Supported {
		return
	}
	if err := wrongclock.Set(i.Pid(), off); err != nil && !i.ended.Load() {
		w.Log("%s: %v", i.life, err)
	}
}

// start runs the next instance in a place.
func (w *world) start(m *member) {
	m.lives++
	life := fmt.Sprintf("%s.%d", m.name, m.lives)
	w.mu.Lock()
	w.lives = append(w.lives, Life{Name: life, Start: w.now()})
	w.mu.Unlock()
	i := &instance{Instance: w.gateway.Start(w.tb, m.name, m.setup), life: life}
	m.mu.Lock()
	m.at = i
	w.setClock(i, m.off)
	m.mu.Unlock()
	w.introduce(i, time.Millisecond)
	go w.mourn(m, i)
}

// mourn notes that an instance has ended by itself, and starts another in its place.
func (w *world) mourn(m *member, i *instance) {
	<-i.Ended()
	if i.ended.Load() || w.over.Load() {
		return
	}
	i.away.Store(true)
	w.ends(i)
	w.record(Op{Kind: Death, On: i.life, Start: w.now(), Err: lastWords(i.Log())})
	w.start(m)
}

// lastWords are the panic in a log and what stands after it, or the end of the log.
func lastWords(log string) string {
	const lines = 60
	from := max(strings.Index(log, "\npanic: "), strings.Index(log, "\nfatal error: "))
	if from < 0 {
		from = max(0, len(log)-2000)
	}
	all := strings.SplitN(log[from:], "\n", lines)
	return strings.Join(all[:min(len(all), lines-1)], "\n")
}

// ends notes the end of an instance.
func (w *world) ends(i *instance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := range w.lives {
		if w.lives[n].Name == i.life {
			w.lives[n].End = w.now()
		}
	}
}

// kill ends the instance in a place.
func (w *world) kill(m *member) {
	i := m.now()
	i.away.Store(true)
	i.ended.Store(true)
	w.ends(i)
	i.Signal(syscall.SIGKILL)
	i.Wait()
}

// introduce has an instance purge something that is never asked for, waits for the others, and
// finds out under which name they know it.
func (w *world) introduce(i *instance, wait time.Duration) fleet.Purged {
	url := "http://" + fleet.Host + "/introduces/" + i.life
	a := i.Purge(fleet.Purge{URL: url, Wait: wait.String()})
	_, seq, ok := strings.Cut(strings.Trim(string(a.Epoch), `"`), "-")
	if !ok || i.known.Load() || a.Status != 200 && a.Status != 202 {
		return a
	}
	if name := noted(w.redis, seq, url); name != "" {
		i.known.Store(true)
		w.mu.Lock()
		w.names[name] = i.life
		w.mu.Unlock()
	}
	return a
}
