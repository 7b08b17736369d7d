package fill

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
)

// FlightKey identifies the requests that may share one call to the origin.
type FlightKey struct {
	object [16]byte
	// vary tells variants apart. It is empty until the fields that the responses vary on are known.
	vary cachepolicy.Vary
	// span is the request's Range field and its condition: a request for other bytes gets another
	// response.
	span string
	// private is true if the request has credentials. Such a request does not wait for a response
	// that is probably for another client, and requests without credentials do not wait for its
	// response.
	private bool
	// cookies is true if the request's cookies keep it from sharing responses that are not declared
	// reusable. Requests without cookies share them.
	cookies bool
	// epoch is the moment of the object's last invalidation. A request that comes after it must not
	// be answered from a call made before it.
	epoch uint64
	// serial is set for a flight that no other request may join.
	serial uint64
}

// FlightKey returns the key of x's flight if responses vary on the fields of known.
func (fl *Filler) FlightKey(x *Request, known cachepolicy.Vary) FlightKey {
	return FlightKey{
		object: x.Key.Hash, vary: known.For(&x.View), span: x.span(),
		private: x.View.HasAuthorization(), cookies: !x.Route.Rules.Shares(&x.View, &cachepolicy.Meta{}), epoch: fl.Tiers.Invalidations.Last(x.Key.Hash),
	}
}

// span returns the part of the representation that x asks for, "" for all of it.
func (x *Request) span() string {
	ranges := x.HTTP.Header["Range"]
	if len(ranges) == 0 {
		return ""
	}
	return strings.Join(ranges, ",") + "\n" + strings.Join(x.HTTP.Header["If-Range"], ",")
}

// Solo starts a flight for k that no other request joins.
func (fl *Filler) Solo(k FlightKey) *Flight {
	k.serial = fl.Tiers.NextSeq()
	f, _, _ := fl.Flights.Join(k, 1) // a new serial always leads
	return f
}

// name returns a name for the fills under k, which is the same in all instances. It differs for
// each kind of fill of one object. A fill that goes to the origin beside a slow one has another
// generation.
func (k *FlightKey) name(generation int) string {
	name := string(k.vary) + "\x00" + k.span
	if k.cookies {
		name += "\x00cookies"
	}
	if generation > 0 {
		name += "\x00" + strconv.Itoa(generation)
	}
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:8])
}

// MaxRounds is the number of flights that a request waits for. After so many, another wait has
// little hope.
const MaxRounds = 3

// LockAge returns the age that a flight must reach before one more request goes to the origin
// beside it. Each successor is given twice the time, so that an origin that hangs gets few calls.
func LockAge(wait time.Duration, generation int) time.Duration {
	return wait << min(generation, MaxRounds-1)
}

// The reasons for which a request stops waiting.
const (
	TooManyWaiters = "too many requests wait for this resource"                       // the bound of waiting requests is reached
	TooSlow        = "the upstream has not answered other requests for this resource" // several calls have not been answered in time
)
