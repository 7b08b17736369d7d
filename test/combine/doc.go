// Package combine tests, through whole gateways and real sockets, what answers from several calls, one call for several, and lists page by page. Its program
// (cmd/fanout) measures them.
package combine
