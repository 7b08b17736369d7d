// Package link opens the connections to a target, counts them and watches them. A Conn bounds each
// write, tells whether the target has closed it, and tells a response from bytes that answer no
// request. The package knows nothing of HTTP beyond the header sections that it watches on TLS
// connections.
package link
