package check

import "time"

// Kind is what an operation does.
type Kind string

const (
	Read  Kind = "read"
	Purge Kind = "purge"
	Write Kind = "write"
	Death Kind = "death" // an instance ended by itself; Err has its last words
)

// Policy is how a route treats writes.
type Policy string

const (
	Invalidate Policy = "invalidate"
	Through    Policy = "through"
	Behind     Policy = "behind"
)

// Op is an operation of a client. Times are since the beginning of the run.
type Op struct {
	Kind       Kind
	On         string // life of the instance that was asked
	Start, End time.Duration
	Status     int    // 0: no answer
	Err        string // why there was none
	What       string // for people: what was purged, how a read was answered

	Path    string // of a read or a write
	Version int64  // of a read: that of the answer; of a purge: the origin's at its start; of an invalidate or through write: the one that it made at the origin; 0: none
	Stale   bool   // the read's answer says that it is stale

	Paths   []string // all that the purge covers
	Soft    bool
	Missing []string // lives that the answer names, or names of unknown ones

	Policy Policy
	Number int // of the write; each has its own
}

// Life is an instance from its start to its end. An instance that is started again has another
// life.
type Life struct {
	Name       string // a.1, a.2, …
	Known      bool   // its name in Missing was found out
	Start, End time.Duration
}

// Arrival is a write that has come to the origin.
type Arrival struct {
	At     time.Duration
	Path   string
	Number int
	Key    string // Idempotency-Key
}

// Fault is what was spoilt.
type Fault struct {
	What       string
	Start, End time.Duration
	// Loses is true if Redis may lose what it had acknowledged: it was flushed, restarted, restored
	// from a copy, or a replica took over.
	Loses bool
}

// History is all that happened in a run.
type History struct {
	Ops      []Op
	Lives    []Life
	Arrivals []Arrival
	Faults   []Fault
	// Bound is how long after a 202 of a purge it holds on all instances: max_cut_off and 5 s. 0:
	// there is no such time.
	Bound time.Duration
	// Drained is true if the run waited at its end for the writes that were accepted.
	Drained bool
}
