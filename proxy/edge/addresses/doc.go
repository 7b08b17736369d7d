// Package addresses holds sets of IP addresses, and reads files of addresses. It knows nothing of
// routes or requests.
package addresses
