package board

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	maxStreams    = 64
	maxWindow     = time.Hour
	defaultWindow = 10 * time.Second
	defaultSeries = 5 * time.Minute
	// writeTime bounds the time in which a stream's client must read an event.
	writeTime = 10 * time.Second
)

// Handler answers GET /api/stats, /api/stats/history, /api/stats/stream and /api/slow.
func (b *Board) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/stats", func(w http.ResponseWriter, r *http.Request) {
		if d, ok := windowOf(w, r, defaultWindow, time.Second); ok {
			answer(w, b.Stats(d))
		}
	})
	mux.HandleFunc("GET /api/stats/history", func(w http.ResponseWriter, r *http.Request) {
		if d, ok := windowOf(w, r, defaultSeries, 10*time.Second); ok {
			answer(w, b.History(d, r.URL.Query().Get("route")))
		}
	})
	mux.HandleFunc("GET /api/stats/stream", b.stream)
	mux.HandleFunc("GET /api/slow", func(w http.ResponseWriter, _ *http.Request) { answer(w, b.Slow.List()) })
	return mux
}

// windowOf parses ?window=. If it is invalid, windowOf answers the request and returns false.
func windowOf(w http.ResponseWriter, r *http.Request, otherwise, least time.Duration) (time.Duration, bool) {
	text := r.URL.Query().Get("window")
	if text == "" {
		return otherwise, true
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > maxWindow {
		refuse(w, http.StatusBadRequest, fmt.Sprintf("window must be a duration from %v to %v, such as 5m", least, maxWindow))
		return 0, false
	}
	return d, true
}

func answer(w http.ResponseWriter, v any) {
	header(w, "application/json")
	enc := json.NewEncoder(w)
	_ = enc.Encode(v) // fails only if the client is gone
}

func refuse(w http.ResponseWriter, status int, hint string) {
	header(w, "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": strings.ToLower(http.StatusText(status)), "hint": hint}) // see answer
}

func header(w http.ResponseWriter, contentType string) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}

// stream sends the figures after each sample, until the client leaves or the board closes.
func (b *Board) stream(w http.ResponseWriter, r *http.Request) {
	d, ok := windowOf(w, r, defaultWindow, time.Second)
	if !ok {
		return
	}
	select {
	case b.streams <- struct{}{}:
		defer func() { <-b.streams }()
	default:
		refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("all %d streams are in use", maxStreams))
		return
	}
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{}) // the listener's deadline is for ordinary requests; ignore an error, since then there is no deadline
	header(w, "text/event-stream")
	for next := b.next(); ; next = b.next() {
		_ = c.SetWriteDeadline(time.Now().Add(writeTime)) // as above
		if err := b.send(w, d); err != nil || c.Flush() != nil {
			return
		}
		select {
		case <-next:
		case <-r.Context().Done():
			return
		case <-b.stop:
			return
		}
	}
}

func (b *Board) send(w http.ResponseWriter, window time.Duration) error {
	text, err := json.Marshal(b.Stats(window))
	if err != nil {
		return err
	}
	var event bytes.Buffer
	fmt.Fprintf(&event, "event: stats\ndata: %s\n\n", text)
	_, err = w.Write(event.Bytes())
	return err
}
