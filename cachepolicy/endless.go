package cachepolicy

import (
	"net/http"
	"strings"
)

// endless lists the media types of streams that a server pushes to one client while that client
// listens. The cache must not give such a response to another client: its events belong to the
// moment of sending. Replaying a recorded beginning would show old events as new, and recording it
// would hold a connection to the upstream after the client has left.
//
// Types of long files, such as application/x-ndjson or video/mp4, are not in the list, because many
// such responses end. The cache bounds how long it reads one after its last client has left.
var endless = [...]string{
	"text/event-stream",         // Server-Sent Events
	"multipart/x-mixed-replace", // pictures of a camera; each replaces the previous one
	"application/grpc",          // with any suffix: messages of a call
}

// isEndless reports whether the Content-Type in h names an endless stream.
func isEndless(h http.Header) bool {
	for _, line := range h["Content-Type"] {
		essence, _, _ := strings.Cut(line, ";")
		essence = strings.ToLower(trimOWS(essence))
		for _, t := range endless {
			rest, ok := strings.CutPrefix(essence, t)
			if ok && (rest == "" || t == "application/grpc" && (rest[0] == '+' || rest[0] == '-')) {
				return true
			}
		}
	}
	return false
}
