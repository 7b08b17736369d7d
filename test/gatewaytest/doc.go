// Package gatewaytest runs a whole gateway in front of origins under a test's control: with real
// sockets, a clock that the test moves, gates that it opens and counters that it reads. No code in
// it sleeps to wait for an event.
package gatewaytest
