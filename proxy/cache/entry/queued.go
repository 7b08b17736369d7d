package entry

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
)

// Queue knows the writes of a route that were accepted and are not yet applied.
type Queue interface {
	// Held reports whether a write to k's URL may be queued, as far as this instance knows. Every
	// hit asks, so Held takes no lock and allocates nothing. It may be true in error, but never
	// false in error.
	Held(k cachepolicy.Key) bool
	// Newest returns the newest queued write to the URL of a read, including writes of other
	// instances.
	Newest(r *http.Request, q *cachepolicy.Request) Queued
	// Changes reports whether there is a queued write to k's URL.
	Changes(ctx context.Context, k cachepolicy.Key) bool
}

// Queued describes to a read the newest write to its URL that is not yet applied.
type Queued struct {
	Pending bool        // true if there is such a write
	Method  string      // of the write; "" if the reader may not see it
	Header  http.Header // of the write
	Body    []byte
	At      time.Time // when the write was accepted
}

// putFields are the fields of a PUT that describe its content (RFC 9110 §8.3 to §8.5).
var putFields = [...]string{"Content-Type", "Content-Encoding", "Content-Language", "Content-Disposition"}

// Entry returns the representation that a PUT has brought. It has no validator, because only the
// origin can give one.
func (w *Queued) Entry() *store.Entry {
	h := http.Header{"Cache-Control": {"no-store"}}
	for _, name := range putFields {
		if values := w.Header[name]; len(values) > 0 {
			h[name] = values
		}
	}
	ensureDate(h, w.At)
	var derivable compress.Set
	coding := compress.HeaderCoding(h)
	if coding != compress.Identity && coding != compress.Unknown {
		derivable.Add(compress.Identity)
	}
	meta := cachepolicy.Meta{
		Status: http.StatusOK, Born: w.At, Received: w.At, Date: w.At, Total: int64(len(w.Body)), Language: strings.ToLower(h.Get("Content-Language")),
	}
	d := newDraft(http.StatusOK, h, nil, coding, derivable)
	return d.Entry(&meta, store.NewBody(w.Body))
}
