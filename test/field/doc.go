// Package field tests the faults that were found by using gateways for real: Penstock's own, and those that users of other caches and
// gateways reported in public. Each test is named after what a user sees. README.md lists the kinds of faults with their sources.
//
// A test starts the gateway inside the test process (gatewaytest) where it must move the clock or open gates, and as a built program
// (test/load/program) where sockets, limits, signals or the configuration file are part of the fault.
package field
