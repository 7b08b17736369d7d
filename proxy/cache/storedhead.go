package cache

import (
	"net/http"
	"time"

	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/store"
)

// ensureDate gives a response without a Date the time at which it was received (RFC 9110 §6.6.1).
func ensureDate(h http.Header, received time.Time) {
	if len(h["Date"]) == 0 {
		h["Date"] = []string{received.UTC().Format(http.TimeFormat)}
	}
}

// dropFromStored reports whether a field is left out of the stored head, because each delivery
// writes it anew.
func dropFromStored(name string) bool {
	switch name {
	case "Age", "Content-Length", "Connection", "Trailer":
		return true
	}
	return false
}

// codedHead returns the wire form of deliver.CodedHeader.
func codedHead(status int, header http.Header, coding compress.Coding) string {
	return store.BuildHead(status, entry.CodedHeader(header, coding), dropFromStored)
}

// codedRepresentation returns body under coding, with the matching header fields.
func codedRepresentation(status int, header http.Header, coding compress.Coding, body store.Body) store.Representation {
	return store.Representation{Coding: coding, Head: codedHead(status, header, coding), Body: body}
}
