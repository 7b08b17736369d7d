// Package gatewaytest runs a whole gateway in front of origins whose every step a test decides: real sockets, a clock that the test moves,
// gates that it opens and counters that it reads. Nothing in it sleeps to let something happen.
package gatewaytest
