package check

import (
	"cmp"
	"slices"
	"time"
)

// Rule is a promise.
type Rule string

const (
	StaleAfterPurge Rule = "a read is older than a purge that was acknowledged for its instance"
	FreshAfterSoft  Rule = "a read is older than a soft purge that was acknowledged for its instance, and does not say that it is stale"
	StaleAfterWrite Rule = "a read is older than a write that its instance has answered"
	WriteLost       Rule = "an accepted write never reached the origin"
	WriteDoubled    Rule = "an accepted write reached the origin with two Idempotency-Keys"
	WriteUnordered  Rule = "of two accepted writes to a path the later one reached the origin first"
	ErrorByRedis    Rule = "a client got an error, although the origin and the instance were well"
	InstanceDied    Rule = "an instance ended by itself"
)

// Violation is a broken promise.
type Violation struct {
	Rule    Rule
	Op      int // index of the operation that shows it
	Because int // index of the purge or write that promised otherwise; -1: none
}

// takenOver is how long after a loss an instance that knows of a lost purge may take to tell the
// others.
const takenOver = 5 * time.Second

// Violations finds the broken promises of a history, in the order of the operations that show them.
func Violations(h *History) []Violation {
	found := staleReads(h)
	found = append(found, queuedWrites(h)...)
	found = append(found, clientErrors(h)...)
	slices.SortStableFunc(found, func(a, b Violation) int { return cmp.Compare(h.Ops[a.Op].Start, h.Ops[b.Op].Start) })
	return found
}

// demand is the least version that reads of a path which begin after a time may return.
type demand struct {
	from    time.Duration
	version int64
	op      int
}

// staleReads holds each read against the purges and writes that were answered before it began.
func staleReads(h *History) (found []Violation) {
	demands := demandsByPlace(h)
	for i := range h.Ops {
		read := &h.Ops[i]
		if read.Kind != Read || read.Status != 200 || read.Version == 0 {
			continue
		}
		if v, ok := judge(h, i, demands[place{read.On, read.Path}]); ok {
			found = append(found, v)
		}
	}
	return found
}

// judge finds the newest demand that a read does not meet.
func judge(h *History, i int, demands []demand) (found Violation, broken bool) {
	read := &h.Ops[i]
	var most int64
	for _, d := range demands {
		by := &h.Ops[d.op]
		if d.from >= read.Start || d.version <= read.Version || d.version <= most || by.Soft && read.Stale || mayNotKnow(h, by, read) {
			continue
		}
		most, broken = d.version, true
		found = Violation{StaleAfterPurge, i, d.op}
		switch {
		case by.Kind == Write:
			found.Rule = StaleAfterWrite
		case by.Soft:
			found.Rule = FreshAfterSoft
		}
	}
	return found, broken
}

// mayNotKnow is true if the instance that read was started after the purge, and Redis may have lost
// the purge before the read: then the instance learns of it from others, which takes a moment.
func mayNotKnow(h *History, purge, read *Op) bool {
	life := h.life(read.On)
	if purge.Kind != Purge || life == nil || life.Start < purge.Start {
		return false
	}
	return slices.ContainsFunc(h.Faults, func(f Fault) bool {
		return f.Loses && f.End >= purge.Start && f.Start <= read.Start && read.Start <= f.End+takenOver
	})
}

func (h *History) life(name string) *Life {
	if i := slices.IndexFunc(h.Lives, func(l Life) bool { return l.Name == name }); i >= 0 {
		return &h.Lives[i]
	}
	return nil
}

type place struct{ life, path string }

// demandsByPlace is what was promised to reads of each path on each instance.
func demandsByPlace(h *History) map[place][]demand {
	demands := make(map[place][]demand)
	add := func(life, path string, from time.Duration, version int64, op int) {
		at := place{life, path}
		demands[at] = append(demands[at], demand{from, version, op})
	}
	for i := range h.Ops {
		op := &h.Ops[i]
		switch {
		case op.Kind == Write && op.Version > 0 && op.Status >= 200 && op.Status < 300:
			add(op.On, op.Path, op.End, op.Version, i)
		case op.Kind == Purge:
			for _, l := range h.Lives {
				if from, ok := holds(h, op, &l); ok && l.End > from {
					for _, path := range op.Paths {
						add(l.Name, path, from, op.Version, i)
					}
				}
			}
		}
	}
	return demands
}

// holds says from when on a purge holds on an instance.
func holds(h *History, purge *Op, life *Life) (from time.Duration, ok bool) {
	own := purge.On == life.Name
	switch {
	case purge.Status == 200, own && (purge.Status == 202 || purge.Status == 503):
		return purge.End, true
	case purge.Status != 202:
		return 0, false
	case !mayBeMissing(h, purge, life):
		return purge.End, true
	case h.Bound > 0:
		return purge.End + h.Bound, true
	}
	return 0, false
}

// mayBeMissing reports whether a purge names an instance, or one of which nothing is known that
// this may be.
func mayBeMissing(h *History, purge *Op, life *Life) bool {
	for _, name := range purge.Missing {
		if name == life.Name || !life.Known && h.life(name) == nil {
			return true
		}
	}
	return false
}

// clientErrors finds failures that Redis must not cause. The origin answers everything with
// success, but holds back writes to the queue. An instance may be killed while it is asked. A write
// that can't be queued is refused.
func clientErrors(h *History) (found []Violation) {
	for i := range h.Ops {
		op := &h.Ops[i]
		var well bool
		switch {
		case op.Kind == Death:
			found = append(found, Violation{InstanceDied, i, -1})
			well = true
		case op.Status == 0:
			life := h.life(op.On)
			well = life != nil && life.End <= op.End
		case op.Kind == Purge:
			well = op.Status == 200 || op.Status == 202 || op.Status == 503
		case op.Policy == Behind:
			well = op.Status < 500 || op.Status == 503
		default:
			well = op.Status < 500
		}
		if !well {
			found = append(found, Violation{ErrorByRedis, i, -1})
		}
	}
	return found
}
