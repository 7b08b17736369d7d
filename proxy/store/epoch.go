package store

import "time"

// Epoch is a moment in the history of purges: Seq counts them, and Era names the history, which begins anew where it was lost.
type Epoch struct{ Era, Seq uint64 }

// TargetKind says what a purge is aimed at.
type TargetKind uint8

const (
	TargetAll    TargetKind = iota // everything
	TargetRoute                    // what a route has stored; Value is its name
	TargetHost                     // what is stored of a host; Value is its canonical form
	TargetPrefix                   // what is stored below a path; Value is the escaped path's beginning, with the host in front or without
	TargetTag                      // what carries a tag; Value is the tag
	TargetObject                   // one object with all its variants; Value is the hexadecimal hash of its key
)

// Target is one thing that a purge is aimed at.
type Target struct {
	Kind  TargetKind
	Value string
	Label string // for people: the URL of an object; "" where Value says it all
}

// Purge makes stale (soft) or removes (hard) all that its targets name and that was fetched before Epoch.
type Purge struct {
	Epoch   Epoch
	At      time.Time
	Soft    bool
	Targets []Target
}

// Fate is what has become of a stored response by purges.
type Fate uint8

const (
	Alive Fate = iota // no purge concerns it
	Soft              // it counts as stale from the time of the purge on
	Hard              // it counts as absent
)

// Subject is what purges may aim at, of one stored response.
type Subject struct {
	Route, Host, Path string
	Object            [16]byte // hash of the key
	Tags              []string
}
