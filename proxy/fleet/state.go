package fleet

import (
	"time"

	"github.com/penstock/penstock/proxy/store/shared"
)

// State is the state of the fleet as this instance sees it.
type State struct {
	Server string // the address of Redis, without credentials
	// Up is true while Redis answers and is used. Since is when that last changed, and Err is the
	// last error of Redis, or nil.
	Up    bool
	Since time.Time
	Err   error
	// Usable is true if Redis answers and this instance knows all purges.
	Usable bool
	// Current is true if this instance knows all purges of the other instances. CurrentSince is
	// when the connection to the history of purges last came or went.
	Current      bool
	CurrentSince time.Time
	// Doubted is true if this instance may have missed purges for so long that it validates stored
	// responses before each use.
	Doubted bool
	// Missed tells what the absence of purges means for clients. It is "" if this instance knows
	// all purges. MissedSince and MissedErr say since when purges are absent, and why.
	Missed      string
	MissedSince time.Time
	MissedErr   error
}

// State returns the state of the fleet. ok is false if this instance is alone.
func (m *Member) State() (s State, ok bool) {
	r := m.redis
	if r == nil {
		return State{}, false
	}
	health := r.Health()
	s = State{
		Server: health.Server, Up: health.State == shared.Up, Since: health.Since, Err: health.Err,
		Usable: r.Usable(), Current: r.purges.Current(), CurrentSince: r.purges.State().Since, Doubted: m.Epochs.Doubts(),
	}
	s.Missed, s.MissedSince, s.MissedErr = r.standing()
	return s, true
}
