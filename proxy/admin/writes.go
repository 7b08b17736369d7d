package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/penstock/penstock/proxy/write"
)

const (
	maxWritesBody  = 1 << 20
	listedLetters  = 100 // if the query names no limit
	maxLetters     = 10_000
	shownBody      = 64 << 10
	noWrites       = "this gateway has no queue of writes"
	noWritesHint   = "a route needs writes: {policy: behind}, or the configuration writes: {path: …}"
	unknownLetter  = "there is no dead letter of this ID"
	nothingChanged = "nothing changed"
)

// writesAPI answers requests about the write queue: GET /writes (figures and dead letters), GET
// /writes/{id} (one write, without the fields that give access), POST /writes/replay and POST
// /writes/drop (of dead letters).
type writesAPI struct {
	store func() write.Store // of the running configuration; nil if it has no queue
}

func (a *writesAPI) register(mux *http.ServeMux, token string) {
	for pattern, h := range map[string]func(write.Store, http.ResponseWriter, *http.Request){
		"GET /writes": a.list, "GET /writes/{id}": a.show,
		"POST /writes/replay": a.change(write.Store.Replay, "replayed"), "POST /writes/drop": a.change(write.Store.Drop, "dropped"),
	} {
		mux.Handle(pattern, authorized(token, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s := a.store()
			if s == nil {
				answerJSON(w, http.StatusNotFound, map[string]any{"status": noWrites, "hint": noWritesHint})
				return
			}
			h(s, w, r)
		})))
	}
}

// letterView is a write in a list for operators.
type letterView struct {
	ID       string    `json:"id"`
	Route    string    `json:"route"`
	Method   string    `json:"method"`
	URL      string    `json:"url"`
	Accepted time.Time `json:"accepted"`
	Bytes    int       `json:"bytes"`
	write.State
}

func viewOf(r *write.Record) letterView {
	url := r.Scheme + "://" + r.Host + r.Path
	if r.Query != "" {
		url += "?" + r.Query
	}
	return letterView{r.ID, r.Route, r.Method, url, r.Accepted, len(r.Body), r.State}
}

func (a *writesAPI) list(s write.Store, w http.ResponseWriter, r *http.Request) {
	most := listedLetters
	if given := r.URL.Query().Get("limit"); given != "" {
		n, err := strconv.Atoi(given)
		if err != nil || n < 1 || n > maxLetters {
			answerJSON(w, http.StatusBadRequest, map[string]any{"status": "not listed", "errors": []string{fmt.Sprintf("limit: %.20q is no number from 1 to %d", given, maxLetters)}})
			return
		}
		most = n
	}
	stats, err := s.Stats(r.Context())
	var letters []*write.Record
	if err == nil {
		letters, err = s.Letters(r.Context(), most)
	}
	if err != nil {
		answerJSON(w, http.StatusServiceUnavailable, map[string]any{"status": "the queue can't be read", "errors": []string{err.Error()}})
		return
	}
	views := make([]letterView, len(letters))
	for i, l := range letters {
		views[i] = viewOf(l)
	}
	answerJSON(w, http.StatusOK, map[string]any{
		"status": "listed", "pending": stats.Pending, "bytes": stats.Bytes, "oldest_ms": stats.Oldest.Milliseconds(), "dead": stats.Dead, "letters": views,
	})
}

func (a *writesAPI) show(s write.Store, w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	record, err := (*write.Record)(nil), write.ErrUnknown
	if write.IsID(id) {
		record, err = s.Find(r.Context(), id)
	}
	switch {
	case errors.Is(err, write.ErrUnknown):
		answerJSON(w, http.StatusNotFound, map[string]any{"status": "there is no write of this ID, or it has been done for long"})
	case err != nil:
		answerJSON(w, http.StatusServiceUnavailable, map[string]any{"status": "the queue can't be read", "errors": []string{err.Error()}})
	default:
		answerJSON(w, http.StatusOK, map[string]any{
			"status": "found", "write": viewOf(record), "header": write.Redacted(record.Header), "body": record.Body[:min(len(record.Body), shownBody)],
		})
	}
}

// letterRequest is the body of POST /writes/replay and /writes/drop.
type letterRequest struct {
	ID  texts `json:"id"`
	All bool  `json:"all"` // as many as there are when the request begins
}

// change returns the handler that calls do for each named dead letter. done is the status word of
// its answer.
func (a *writesAPI) change(do func(write.Store, context.Context, string) error, done string) func(write.Store, http.ResponseWriter, *http.Request) {
	return func(s write.Store, w http.ResponseWriter, r *http.Request) {
		var ask letterRequest
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxWritesBody))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&ask); err != nil || ask.All == (len(ask.ID) > 0) {
			answerJSON(w, http.StatusBadRequest, map[string]any{"status": nothingChanged, "errors": []string{`the request must be {"id": ["…"]} or {"all": true}`}})
			return
		}
		ids := []string(ask.ID)
		if ask.All {
			letters, err := s.Letters(r.Context(), maxLetters)
			if err != nil {
				answerJSON(w, http.StatusServiceUnavailable, map[string]any{"status": nothingChanged, "errors": []string{err.Error()}})
				return
			}
			for _, l := range letters {
				ids = append(ids, l.ID)
			}
		}
		answerChanges(s, w, r, ids, do, done)
	}
}

// answerChanges lists the letters that do changed, and gives the reason for each of the others.
// "replayed" means queued again: the result of the write is in its state.
func answerChanges(s write.Store, w http.ResponseWriter, r *http.Request, ids []string, do func(write.Store, context.Context, string) error, done string) {
	status, changed, failed := http.StatusOK, []string{}, []string{}
	for _, id := range ids {
		err := do(s, r.Context(), id)
		switch {
		case err == nil:
			changed = append(changed, id)
		case errors.Is(err, write.ErrUnknown):
			status = http.StatusNotFound
			failed = append(failed, fmt.Sprintf("%.40s: %s", id, notALetter(s, r.Context(), id)))
		default:
			status = http.StatusServiceUnavailable
			failed = append(failed, fmt.Sprintf("%.40s: %v", id, err))
		}
	}
	answerJSON(w, status, map[string]any{"status": done, "count": len(changed), "ids": changed, "errors": failed})
}

// notALetter says why do did not find a dead letter: the ID is unknown, the letter is no longer
// kept, or the write has another state.
func notALetter(s write.Store, ctx context.Context, id string) string {
	if !write.IsID(id) {
		return unknownLetter
	}
	r, err := s.Find(ctx, id)
	switch {
	case err != nil:
		return unknownLetter
	case r.Phase == write.Dead:
		return "it was a dead letter, and is not kept any more"
	}
	return fmt.Sprintf("it is no dead letter: its state is %s", r.Phase)
}
