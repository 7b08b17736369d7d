package batch

import (
	"context"
	"net/url"
	"slices"
	"time"
)

// group is the reads that may share calls.
type group struct {
	*asked
	flying  int   // calls under way
	pending *call // the call that gathers reads, or nil
}

// call is one call for many reads. The Loader's mu guards its fields.
type call struct {
	group   *group
	slots   []*slot // in order of arrival; fixed once the call is sent
	by      map[string]*slot
	bytes   int // of the escaped ids with their separators
	members int
	named   []string
	sent    bool
	timer   *time.Timer
	ctx     context.Context // ends when all members have left
	cancel  context.CancelFunc
	ended   chan struct{}
}

// slot is one id of a call and its result. result and err are set before done is closed.
type slot struct {
	id, escaped string
	members     int // guarded by the Loader's mu
	done        chan struct{}
	result      *result
	err         error
}

// join adds a read for id to the pending call, and sends the call if there is no reason to wait.
func (l *Loader) join(a *asked, id, member string) (*call, *slot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.groups[a.key]
	if g == nil {
		g = &group{asked: a}
		l.groups[a.key] = g
	}
	escaped := url.QueryEscape(id)
	if c := g.pending; c != nil && c.by[id] == nil && len(g.before)+len(g.after)+c.bytes+1+len(escaped) > maxURL {
		l.send(c)
	}
	alone := g.pending == nil && g.flying == 0 && l.crowds == 0
	if g.pending == nil {
		l.open(g, alone)
	}
	c := g.pending
	s := c.by[id]
	if s == nil {
		s = &slot{id: id, escaped: escaped, done: make(chan struct{})}
		c.by[id], c.slots = s, append(c.slots, s)
		c.bytes += 1 + len(escaped)
	}
	s.members++
	c.members++
	if member != "" && len(c.named) < maxNamed {
		c.named = append(c.named, member)
	}
	if alone || len(c.slots) >= l.Max {
		l.send(c)
	}
	return c, s
}

// open starts a call that gathers reads.
func (l *Loader) open(g *group, alone bool) {
	c := &call{group: g, by: make(map[string]*slot), ended: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if !alone {
		c.timer = time.AfterFunc(l.Window, func() { l.expire(c) })
	}
	g.pending = c
}

// expire sends a call whose window is over.
func (l *Loader) expire(c *call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.group.pending == c {
		l.send(c)
	}
}

// send starts the pending call.
func (l *Loader) send(c *call) {
	c.stopTimer()
	c.group.pending, c.sent = nil, true
	c.group.flying++
	go l.run(c)
}

func (c *call) stopTimer() {
	if c.timer != nil {
		c.timer.Stop()
	}
}

// leave removes a member that no longer waits. The last member to leave cancels the call and waits
// for its end.
func (l *Loader) leave(c *call, s *slot) {
	l.mu.Lock()
	s.members--
	c.members--
	last := c.members == 0
	if !c.sent && s.members == 0 {
		delete(c.by, s.id)
		c.slots = slices.DeleteFunc(c.slots, func(other *slot) bool { return other == s })
		c.bytes -= 1 + len(s.escaped)
	}
	if last {
		c.cancel()
		if !c.sent {
			c.stopTimer()
			c.group.pending = nil
			l.forget(c.group)
			close(c.ended)
		}
	}
	l.mu.Unlock()
	if last {
		<-c.ended
	}
}

// wanted returns the slots that still have members.
func (l *Loader) wanted(slots []*slot) []*slot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(slots), func(s *slot) bool { return s.members == 0 })
}

// landed ends a call that was sent, and sends the call that has gathered behind it.
func (l *Loader) landed(c *call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.cancel()
	g := c.group
	if g.flying--; g.flying == 0 && g.pending != nil {
		l.send(g.pending)
	}
	l.forget(g)
	close(c.ended)
}

// forget drops a group without calls.
func (l *Loader) forget(g *group) {
	if g.flying == 0 && g.pending == nil {
		delete(l.groups, g.key)
	}
}
