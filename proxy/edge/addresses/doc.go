// Package addresses holds sets of IP addresses, and files of addresses that are read again when
// they change. It knows nothing of routes or requests.
package addresses
