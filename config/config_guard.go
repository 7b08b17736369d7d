package config

import "net/netip"

// Allow limits a route to clients with certain IP addresses. Other clients get 403, also for stored
// responses. The client's address is that of the connection, or the address that proxies in
// server.trusted_proxies report. A client without an IP address gets 403 if a list is named here.
// Entries are networks such as 10.0.0.0/8 or single addresses. IPv4 is written as IPv4, and ::/0
// does not include it. An aggregate that reads a part through a route does not pass that route's
// lists, so give the aggregate its own.
type Allow struct {
	// IPs are the allowed networks. If neither ips nor files are named, all addresses are allowed.
	IPs []netip.Prefix `key:"ips"`
	// DenyIPs are the refused networks. They win over the allowed ones.
	DenyIPs []netip.Prefix `key:"deny_ips"`
	// Files hold further allowed networks, one a line; # begins a comment. The gateway reads a file
	// again within a few seconds after it changes. If a changed file is missing or broken, the list
	// read before stays in force, and the log names the broken line. A file without entries allows
	// nothing. Replace a file by renaming a new one, so that its content changes at once.
	Files []string `key:"files" as:"file"`
	// DenyFiles hold further refused networks, in the same form.
	DenyFiles []string `key:"deny_files" as:"file"`
}
