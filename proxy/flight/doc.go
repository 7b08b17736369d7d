// Package flight lets concurrent requests for one key share a single fill. A leader writes the
// response, and any number of followers read it while it grows.
//
// A [Group] holds at most one flight per key. The first caller of [Group.Join] becomes the leader.
// It fetches on a context of its own, calls [Flight.Announce] if the response may be shared, writes
// the body, and ends the flight. All other callers are followers. They wait for the head and read
// the body as it grows, each with a cursor of its own. If a follower leaves or stalls, the others
// lose nothing.
//
// # The leader's duty
//
// If a leader vanished without a word, its followers would wait for ever. So the leader must end
// its flight in a defer, before it does anything that may panic:
//
//	f, lead, err := group.Join(key, maxWaiters)
//	…
//	defer func() { f.End(flight.Retry, flight.ErrVanished) }() // no effect after a regular End
//
// Only the first End counts. If the flight was announced, an End with [Retry], [Solo] or [Failed]
// and no error is not a clean end either: readers get [ErrVanished] instead of io.EOF, so that a
// truncated body never looks complete.
//
// If the leader's own client reads the body too, the leader must call [Flight.Reader] before the
// first Write. The leader's place alone neither delays the writer nor keeps the flight alive, since
// the flight can't know whether the leader will read.
//
// # Memory
//
// The body is an append-only list of immutable segments. As long as the body does not exceed the
// limit of Announce, all segments are kept, for the store and for readers that start late. If the
// body exceeds the limit, the flight leaves its group (later requests start another flight), drops
// the segments that every reader has passed, and makes the writer wait for the slowest reader. If a
// follower has joined but not opened its reader yet, it counts as a reader at byte 0.
//
// The package knows nothing about HTTP, stores or policy. The caller decides whether a response may
// be shared.
package flight
