package store

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
)

// Epoch is a moment in the history of purges. Era names the history, which begins anew where it was lost; 0 names none. Seq orders the
// moments of one era: its upper bits count the purges of the whole fleet, its lower ones (LocalBits) those that this instance alone has made since
// the last of them.
type Epoch struct{ Era, Seq uint64 }

// LocalBits is how many bits of a Seq count the purges that only one instance knows of.
const LocalBits = 24

// FleetEpoch is the moment of the n-th purge of the fleet.
func FleetEpoch(era, n uint64) Epoch { return Epoch{Era: era, Seq: n << LocalBits} }

// Fleet is the number of the fleet's purges up to that moment.
func (e Epoch) Fleet() uint64 { return e.Seq >> LocalBits }

// Follows reports whether e is the moment of the very next purge after before: nobody has purged anything between the two.
func (e Epoch) Follows(before Epoch) bool {
	if e.Era != before.Era || e.Era == 0 {
		return false
	}
	return e.Seq == before.Seq+1 || e.Seq == before.Seq+1<<LocalBits && before.Seq&(1<<LocalBits-1) == 0
}

// String is the era, the number of the fleet's purges, and after a dot, where there are any, that of the instance's own.
func (e Epoch) String() string {
	local := e.Seq & (1<<LocalBits - 1)
	if local == 0 {
		return fmt.Sprintf("%x-%d", e.Era, e.Fleet())
	}
	return fmt.Sprintf("%x-%d.%d", e.Era, e.Fleet(), local)
}

// TargetKind says what a purge is aimed at. The numbers are part of what instances tell each other.
type TargetKind uint8

const (
	TargetAll    TargetKind = iota // everything
	TargetRoute                    // what a route has stored; Value is its name
	TargetHost                     // what is stored of a host; Value is its canonical form
	TargetPrefix                   // what is stored below a path; Value is the escaped path's beginning, with the host in front or without
	TargetTag                      // what carries a tag; Value is the tag
	TargetObject                   // one object with all its variants; Value is the hexadecimal hash of its key
	// TargetURL is all objects of one URL, whatever route, scheme, header, cookie or authorization their keys hold beside it; Value is the
	// canonical host, path and, after "?" where there is one, query.
	TargetURL
	targetKinds
)

// targetNames is what people call the kinds.
var targetNames = [targetKinds]string{"all", "route", "host", "prefix", "tag", "object", "url"}

// String is the kind's name.
func (k TargetKind) String() string {
	if k >= targetKinds {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return targetNames[k]
}

// Target is one thing that a purge is aimed at.
type Target struct {
	Kind  TargetKind
	Value string
	Label string // for people: the URL of an object; "" where Value says it all
}

// MaxTargetValue is how long, in bytes, a target's value may be.
const MaxTargetValue = 16 << 10

// Check says what is wrong with t.
func (t Target) Check() error {
	ok := t.Value != ""
	switch t.Kind {
	case TargetAll:
		ok = t.Value == ""
	case TargetPrefix, TargetURL:
		ok = strings.Contains(t.Value, "/") && (t.Kind == TargetPrefix || t.Value[0] != '/')
	case TargetObject:
		_, ok = objectOf(t.Value)
	}
	if !ok || t.Kind >= targetKinds || len(t.Value) > MaxTargetValue {
		return fmt.Errorf("store: a purge can't be aimed at %s %.100q", t.Kind, t.Value)
	}
	return nil
}

// String names t for people.
func (t Target) String() string {
	switch {
	case t.Kind == TargetAll:
		return t.Kind.String()
	case t.Label != "":
		return t.Kind.String() + " " + t.Label
	}
	return t.Kind.String() + " " + t.Value
}

// ObjectTarget is the object under k.
func ObjectTarget(k cachepolicy.Key, label string) Target {
	return Target{Kind: TargetObject, Value: hex.EncodeToString(k.Hash[:]), Label: label}
}

// URLTarget is all objects of a URL, given in canonical form.
func URLTarget(host, path, query string) Target {
	if query != "" {
		path += "?" + query
	}
	return Target{Kind: TargetURL, Value: host + path}
}

func objectOf(value string) (object [16]byte, ok bool) {
	if len(value) != hex.EncodedLen(len(object)) {
		return object, false
	}
	_, err := hex.Decode(object[:], []byte(value))
	return object, err == nil
}

// Purge makes stale (soft) or removes (hard) all that any of its targets names and that was fetched before Epoch.
type Purge struct {
	Epoch   Epoch
	At      time.Time
	Soft    bool
	Targets []Target
}

// Report is what has become of a purge.
type Report struct {
	Epoch     Epoch
	Instances int           // that live, this one included
	Applied   int           // of them, by which it has been applied
	Missing   []string      // those that have not said so in time
	Took      time.Duration // until the last of them said so, or until the wait was over
}

// ErrUnreached is returned by a purge that holds on this instance alone, as the others can't be told.
var ErrUnreached = errors.New("the purge holds on this instance alone: the others can't be reached")

// Fate is what has become of a stored response by purges.
type Fate uint8

const (
	Alive Fate = iota // no purge concerns it
	Soft              // it counts as stale from the time of the purge on
	Hard              // it counts as absent
)

// String is the fate's name.
func (f Fate) String() string { return [...]string{"alive", "soft", "hard"}[f] }

// Subject is what purges may aim at, of one stored response.
type Subject struct {
	Route, Host, Path string
	Query             string   // the one that is in the key
	Object            [16]byte // hash of the key
	Tags              []string
}

// SubjectOf is the Subject of what is stored under k with tags. It allocates nothing.
func SubjectOf(k cachepolicy.Key, tags []string) Subject {
	p, _ := k.Parts() // of a key that has none, the hash and the tags are left to aim at
	return Subject{Route: p.Route, Host: p.Host, Path: p.Path, Query: p.Query, Object: k.Hash, Tags: tags}
}
