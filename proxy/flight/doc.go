// Package flight lets many requests for one thing share one fill: a leader writes, any number of followers read along.
//
// A [Group] holds at most one flight per key. The first to [Group.Join] leads: it fetches on a context of its own, says with
// [Flight.Announce] that the answer may be shared, writes the body and ends. All others follow: they wait for the head and read the body as
// it grows, each with a cursor of its own, so that nobody who leaves or stalls takes anything from the others.
//
// # The leader's duty
//
// A leader that vanishes would leave its followers waiting for ever. So it ends its flight in a defer, before it does anything that may panic:
//
//	f, lead, err := group.Join(key, maxWaiters)
//	…
//	defer func() { f.End(flight.Retry, flight.ErrVanished) }() // no effect after the End of the normal way
//
// The first End counts. After an Announce, an End with [Retry], [Solo] or [Failed] and no error is not a clean end either: readers get
// [ErrVanished] instead of io.EOF, so that a truncated body never looks whole.
//
// A leader whose own client reads too takes its [Flight.Reader] before the first Write: of the leader's place nobody can tell whether it will
// read, so it holds nothing back and keeps nothing going.
//
// # Memory
//
// The body is an append-only list of immutable segments. Up to the bytes that Announce names all are kept, for the store and for readers who
// start late. When the body grows beyond, the flight leaves its group (newcomers start another), forgets what every reader has passed, and
// makes the writer wait for the slowest. Followers who have joined and not opened their reader yet count as readers at byte 0.
//
// The package knows nothing of HTTP, of stores or of policy: whether an answer may be shared is for its caller to say.
package flight
