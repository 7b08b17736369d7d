package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
)

// Epoch is a moment in the history of purges. Era identifies the history; a new era begins if the
// history is lost, and 0 stands for no era. Seq orders the moments of one era. Its upper bits count
// the purges of the whole fleet. Its lower LocalBits bits count the purges that this instance alone
// has made since the last fleet purge.
type Epoch struct{ Era, Seq uint64 }

// LocalBits is the number of low bits in a Seq that count the purges of one instance.
const LocalBits = 24

// FleetEpoch returns the moment of the n-th purge of the fleet.
func FleetEpoch(era, n uint64) Epoch { return Epoch{Era: era, Seq: n << LocalBits} }

// Fleet returns the number of fleet purges up to e.
func (e Epoch) Fleet() uint64 { return e.Seq >> LocalBits }

// Follows reports whether e is the moment of the next purge after before, so that no other purge
// lies between the two.
func (e Epoch) Follows(before Epoch) bool {
	if e.Era != before.Era || e.Era == 0 {
		return false
	}
	return e.Seq == before.Seq+1 || e.Seq == before.Seq+1<<LocalBits && before.Seq&(1<<LocalBits-1) == 0
}

// String returns the era and the number of fleet purges. If the instance has made purges of its
// own, their number follows after a dot.
func (e Epoch) String() string {
	local := e.Seq & (1<<LocalBits - 1)
	if local == 0 {
		return fmt.Sprintf("%x-%d", e.Era, e.Fleet())
	}
	return fmt.Sprintf("%x-%d.%d", e.Era, e.Fleet(), local)
}

// TargetKind is the kind of a purge's target. Instances exchange the numbers, so they must not
// change.
type TargetKind uint8

const (
	TargetAll    TargetKind = iota // everything
	TargetRoute                    // responses of a route; Value is its name
	TargetHost                     // responses of a host; Value is its canonical form
	TargetPrefix                   // responses below a path; Value is a prefix of the escaped path, with or without the host in front
	TargetTag                      // responses with a tag; Value is the tag
	TargetObject                   // one object with all its variants; Value is the hexadecimal hash of its key
	// TargetURL is all objects of one URL, whatever route, scheme, header, cookie or authorization
	// their keys also contain. Value is the canonical host and path, followed by "?" and the query
	// if there is one.
	TargetURL
	targetKinds
)

// targetNames holds the names of the kinds in the API, in logs and in metrics.
var targetNames = [targetKinds]string{"all", "route", "host", "prefix", "tag", "object", "url"}

// String returns the kind's name.
func (k TargetKind) String() string {
	if k >= targetKinds {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return targetNames[k]
}

// Target selects the responses that a purge hits.
type Target struct {
	Kind  TargetKind
	Value string
	Label string // a readable form, such as the URL of an object; empty if Value is readable
}

// MaxTargetValue is the maximum length of a target's value in bytes.
const MaxTargetValue = 16 << 10

// Within returns t, or a broader target if t's value is too long. A URL or prefix becomes a shorter
// prefix. A tag is cut; no response keeps such a long tag, so the cut tag hits the responses with
// MoreTags.
func (t Target) Within() Target {
	if len(t.Value) <= MaxTargetValue {
		return t
	}
	switch t.Kind {
	case TargetURL, TargetPrefix:
		path, _, _ := strings.Cut(t.Value, "?")
		return Target{Kind: TargetPrefix, Value: path[:min(len(path), MaxTargetValue)]}
	case TargetTag:
		return Target{Kind: TargetTag, Value: t.Value[:MaxTargetValue]}
	}
	return Target{Kind: TargetAll}
}

// Check returns an error if t is invalid.
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
		return fmt.Errorf("store: invalid purge target: %s %.100q", t.Kind, t.Value)
	}
	return nil
}

// String returns a readable form of t.
func (t Target) String() string {
	switch {
	case t.Kind == TargetAll:
		return t.Kind.String()
	case t.Label != "":
		return t.Kind.String() + " " + t.Label
	}
	return t.Kind.String() + " " + t.Value
}

// ObjectTarget returns the target for the object under k.
func ObjectTarget(k cachepolicy.Key, label string) Target {
	return Target{Kind: TargetObject, Value: hex.EncodeToString(k.Hash[:]), Label: label}
}

// URLTarget returns the target for all objects of a URL. The arguments must be canonical.
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

// Purge invalidates every response that any of its targets names and that was fetched before Epoch.
// A soft purge makes the responses stale; a hard purge removes them.
type Purge struct {
	Epoch   Epoch
	At      time.Time
	Soft    bool
	Targets []Target
}

// Report is the outcome of a purge.
type Report struct {
	Epoch     Epoch
	Instances int           // live instances, including this one
	Applied   int           // instances that have applied the purge
	Missing   []string      // names of the instances that have not confirmed in time
	Took      time.Duration // until the last instance confirmed, or until the wait ended
}

// ErrUnreached is returned if a purge took effect on this instance only, because it could not reach
// the others.
var ErrUnreached = errors.New("the purge took effect on this instance only: the other instances can't be reached")

// Fate is the effect of purges on a stored response.
type Fate uint8

const (
	Alive Fate = iota // no purge hits the response
	Soft              // the response is stale from the time of the purge on
	Hard              // the response counts as absent
	// Doubtful means that a purge that this instance has not heard of may hit the response,
	// because the instance is cut off from the others. The response counts as stale and must be
	// revalidated before each use.
	Doubtful
)

// String returns the fate's name.
func (f Fate) String() string { return [...]string{"alive", "soft", "hard", "doubtful"}[f] }

// Subject holds the properties of a stored response that purges can select.
type Subject struct {
	Route, Host, Path string
	Query             string   // the query in the key
	Object            [16]byte // hash of the key
	Tags              []string
}

// SubjectOf returns the Subject of the response with the given tags under k. It allocates nothing.
func SubjectOf(k cachepolicy.Key, tags []string) Subject {
	p, _ := k.Parts() // if the key has no parts, purges can still select by hash and by tag
	return Subject{Route: p.Route, Host: p.Host, Path: p.Path, Query: p.Query, Object: k.Hash, Tags: tags}
}

// LocalPurger purges the responses of an instance that shares nothing with others.
type LocalPurger struct {
	Epochs  *Epochs
	Applied func(Purge) // called with each purge after it took effect, to delete the named objects; may be nil
}

// Purge applies p at once. It waits for no other instance.
func (l *LocalPurger) Purge(_ context.Context, p Purge, _ time.Duration) (Report, error) {
	if err := p.Check(); err != nil {
		return Report{}, err
	}
	began := l.Epochs.now()
	p.At = began
	p = l.Epochs.ApplyLocal(p)
	if l.Applied != nil {
		l.Applied(p)
	}
	return Report{Epoch: p.Epoch, Instances: 1, Applied: 1, Took: l.Epochs.now().Sub(began)}, nil
}

// Check returns an error if p has no target or an invalid one.
func (p *Purge) Check() error {
	if len(p.Targets) == 0 {
		return fmt.Errorf("store: a purge needs at least one target")
	}
	for _, t := range p.Targets {
		if err := t.Check(); err != nil {
			return err
		}
	}
	return nil
}
