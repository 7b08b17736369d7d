// Package listen binds the gateway's addresses and serves them: it accepts and bounds connections,
// does TLS handshakes, gives each connection a wire, and replaces servers on a reload without
// closing an address.
//
// It knows the configuration of listeners and an http.Handler for requests, and nothing else of the
// gateway.
package listen
