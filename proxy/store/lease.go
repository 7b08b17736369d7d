package store

// LeaseResult is what the holder of a lease, the right to fill one thing for all instances, has come to.
type LeaseResult uint8

const (
	Vanished    LeaseResult = iota // zero value: nothing was heard of it in time; whoever waits may try to take its place
	Filled                         // the response is in the tier that the instances share
	Unshareable                    // the response is for its client alone: each asks the origin for itself
	Failed                         // the origin failed
)
