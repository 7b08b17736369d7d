// Package fleet runs several gateways, each a process of its own as operators run them, with one Redis and one origin between them. The origin is
// in the test's process: it counts what it is asked, holds calls back, and stamps each response with the number of its version.
//
// What a fleet promises is shown by the tests of this package; -full runs them at full size, which takes some minutes. The program
// below cmd measures what a response from the shared tier costs.
package fleet
