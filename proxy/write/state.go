package write

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// pollAgain is the Retry-After, in seconds, of a state that will change.
const pollAgain = 1

// stateView is the form of a state for clients. It holds no information that only the sender of the
// write may know.
type stateView struct {
	ID       string    `json:"id"`
	Method   string    `json:"method"`
	Path     string    `json:"path"`
	Accepted time.Time `json:"accepted"`
	State
}

// States answers GET requests for StatePath with the state of a write. A client needs only the ID,
// on the host of the write.
func States(s Store, writeError func(w http.ResponseWriter, r *http.Request, status int, kind, detail string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			writeError(w, r, http.StatusMethodNotAllowed, "", "the state of a write can only be read")
			return
		}
		id := strings.TrimPrefix(r.URL.Path, StatePath)
		if !IsID(id) {
			writeError(w, r, http.StatusNotFound, "", "unknown write: the ID is wrong, or the write has ended long ago")
			return
		}
		record, err := s.Find(r.Context(), id)
		switch {
		// The host of a lost write may be lost too.
		case errors.Is(err, ErrUnknown), err == nil && record.Host != r.Host && (record.Host != "" || record.Phase != Lost):
			writeError(w, r, http.StatusNotFound, "", "unknown write: the ID is wrong, or the write has ended long ago")
		case err != nil:
			w.Header().Set("Retry-After", strconv.Itoa(awayRetry))
			writeError(w, r, http.StatusServiceUnavailable, "proxy_internal_error", "the state of writes can't be read now")
		default:
			answerState(w, r, record)
		}
	})
}

func answerState(w http.ResponseWriter, r *http.Request, record *Record) {
	state := record.State
	if state.Reason != "" && state.Status == 0 {
		state.Reason = "the upstream did not answer" // the exact reason names internal addresses
	}
	// Strings and numbers always have a JSON form.
	body, _ := json.Marshal(stateView{record.ID, record.Method, record.Path, record.Accepted, state})
	body = append(body, '\n')
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if !record.Ended() {
		h.Set("Retry-After", strconv.Itoa(pollAgain))
	}
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that has gone needs no response
	}
}
