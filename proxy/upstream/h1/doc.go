// Package h1 reads HTTP/1.1 responses (RFC 9112) off a connection. It knows of bytes alone: connections, deadlines and what may be passed on are
// its caller's.
//
// What it takes for a response is what net/http takes for one, or less: a fuzz target holds the two side by side. It is here because of what the
// other costs: a goroutine that reads and one that writes for each connection, two buffers that a connection keeps while it is idle, and a string
// for each name and value. Here a header section becomes one string, of which names and values are parts.
package h1
