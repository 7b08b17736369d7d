// Package fleet runs several gateways, each in its own process as in production, with one Redis and
// one origin. The origin runs in the test process. It counts its requests, can hold responses back,
// and stamps each response with the number of its version.
//
// The tests of this package check the promises for fleets. -full runs them at full size, which
// takes some minutes. The program cmd/l2 measures the cost of a response from the shared tier.
// Package check, and the program cmd/check, disturb a fleet at random and look for broken promises.
package fleet
