// Package flight lets many requests for one thing share one fill: a leader writes, any number of followers read along.
package flight

import "errors"

// Outcome is how a flight ended, or that its head is known.
type Outcome uint8

const (
	Retry  Outcome = iota // zero value: the leader vanished; a follower may start another flight, once
	Shared                // the head has been announced: the body may be read along
	Done                  // ended well without a body to share (a 304 freshened the stored response): look it up again
	Solo                  // the response is not shareable: each goes on alone
	Failed                // the origin failed and the error is shared
)

// ErrCrowded is returned by Join when the flight has as many waiters as it may.
var ErrCrowded = errors.New("flight: too many waiters")
