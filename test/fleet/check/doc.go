// Package check runs a fleet of real instances with a real Redis, spoils both at random, and looks
// in the recorded history for broken promises, in the manner of Jepsen.
//
// Run makes a History: clients read, purge and write at random, while faults come and go.
// Violations is a function of the History alone. Its rules are the tables of deploy/README.md. Each
// rule says which of its cases no promise covers.
package check
