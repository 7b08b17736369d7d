// Package admin is the operators' HTTP API. It reads and checks requests, and writes the gateway's
// answers as JSON. It makes no decision about traffic.
package admin
