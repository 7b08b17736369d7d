// Package explain tells how a gateway handles a request, and why. It asks the same functions that
// answer requests, and runs nothing that has a side effect.
package explain
