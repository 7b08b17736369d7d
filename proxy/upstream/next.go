package upstream

import (
	"time"

	"github.com/penstock/penstock/proxy/upstream/send"
)

// policy says what may be done with a request whose try has failed.
type policy struct {
	// replayable is true if the target may process the request twice without harm (RFC 9110
	// §9.2.2), and the request has no body.
	replayable bool
}

// budget holds the means that a request still has for further tries.
type budget struct {
	targets int // that the request has not tried
}

// again says what follows on a try.
type again uint8

const (
	giveUp      again = iota // the caller gets the failure
	retry                    // the same target is tried once more
	otherTarget              // another target is tried
	done                     // the caller gets the response
)

// The limits of the tries at one target, the first among them.
const (
	// maxUntouched is for a request that connections do not take, so that nothing of it is sent.
	// Each such try costs a dead connection alone.
	maxUntouched = 8
	// maxUnprocessed is for a request that the target does not process (RFC 9113 §8.7).
	maxUnprocessed = 5
	// maxEarly is for a request whose connection held bytes that answer no request. The connection
	// of the second try may come from the same target with the same leftovers.
	maxEarly = 3
	// maxStale is for a request whose connection had gone stale.
	maxStale = 2
)

// next decides whether a request is tried again after its last try ended with a response of the
// given status, or with f if status is 0, and how long to wait before. tries is the number of tries
// at the last target. next decides alone: it neither waits nor counts nor chooses a target.
func next(p policy, f send.Failure, status, tries int, b budget) (wait time.Duration, what again) {
	switch {
	case status != 0:
		return 0, done
	case tries < mostTries(p, f):
		return waitBefore(f, tries), retry
	case mayGoOn(outcomeOfFailure(f), f.Unsent && f.Intact, b.targets):
		return 0, otherTarget
	}
	return 0, giveUp
}

// mostTries is how many tries one target gets if they end with f. A failure of the connection says
// nothing about the target, so that the target gets another try. Any other failure is its answer.
func mostTries(p policy, f send.Failure) int {
	switch {
	case f.Unprocessed && f.Resendable:
		return maxUnprocessed
	case f.Unprocessed:
		return 1
	case f.StreamReset && p.replayable:
		return maxStale
	case f.StreamReset, !f.Stale:
		return 1
	case f.Untouched:
		return maxUntouched
	case f.Early && p.replayable:
		return maxEarly
	case p.replayable:
		return maxStale
	}
	return 1
}

// waitBefore is how long to wait before a target gets the request again after n tries. The
// connection of a request that was not processed may only have been about to end, so that the
// second try goes over another one at once. A target that refuses streams has too many at the
// moment.
func waitBefore(f send.Failure, n int) time.Duration {
	if !f.Unprocessed || n <= 1 {
		return 0
	}
	return 5 * time.Millisecond << (2 * (n - 2)) // 5, 20, 80 ms
}

// mayGoOn reports whether the request of a try that ended with o may be sent to another target:
// nothing of it was sent or processed, and some target is untried.
func mayGoOn(o outcome, unsent bool, untried int) bool {
	return (o == broken || o == full) && unsent && untried > 0
}
