package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/route"
	"github.com/penstock/penstock/proxy/store"
)

const (
	maxPurgeBody = 1 << 20
	maxPurgeWait = time.Minute
	// nothingPurged is the status word of refused requests.
	nothingPurged = "nothing purged"
)

// Purges connects POST /purge with a gateway.
type Purges struct {
	Purger Purger
	Router func() *route.Router                                                   // of the running configuration
	Stored func(yield func(*store.Object) bool)                                   // the objects in this instance's memory
	Fate   func(cachepolicy.Key, *store.Entry) (fate store.Fate, since time.Time) // the effect of earlier purges on a stored response
	Now    func() time.Time
}

// Purger carries out purges, on this instance or on all instances that share its cache. It waits
// for the other instances no longer than wait. If wait is 0, the Purger chooses.
type Purger interface {
	Purge(ctx context.Context, p store.Purge, wait time.Duration) (store.Report, error)
}

// purgeAPI answers POST /purge.
type purgeAPI struct{ Purges }

// purgeRequest is the body of POST /purge. A response is purged if any target names it. If url or
// prefix has a path, host is no target of its own: it names the path's host.
type purgeRequest struct {
	URL    texts  `json:"url"`    // absolute, with http or https, which makes no difference; or a path of host
	Prefix texts  `json:"prefix"` // beginnings of paths: /a/, example.com/a/ or https://example.com/a/
	Tag    texts  `json:"tag"`
	Host   texts  `json:"host"` // with its port, if that is not the scheme's default
	Route  texts  `json:"route"`
	All    bool   `json:"all"`
	Soft   bool   `json:"soft"`    // true: make the responses stale; false: remove them
	DryRun bool   `json:"dry_run"` // only count, in this instance's memory
	Wait   string `json:"wait"`    // how long to wait for the other instances, as in 2s
}

// texts is one string or a list of strings.
type texts []string

// UnmarshalJSON reads a string or a list.
func (t *texts) UnmarshalJSON(b []byte) error {
	if b[0] == '[' {
		return json.Unmarshal(b, (*[]string)(t))
	}
	*t = make(texts, 1)
	return json.Unmarshal(b, &(*t)[0])
}

// ServeHTTP answers a request for a purge.
func (a *purgeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request, wait, err := readPurge(w, r)
	if err != nil {
		refusePurge(w, err)
		return
	}
	targets, err := request.targets(a.Router())
	if err != nil {
		refusePurge(w, err)
		return
	}
	purge := store.Purge{At: a.Now(), Soft: request.Soft, Targets: targets}
	if request.DryRun {
		a.answerCount(w, purge)
		return
	}
	report, err := a.Purger.Purge(r.Context(), purge, wait)
	a.answerReport(w, purge, &report, err)
}

func refusePurge(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		status = http.StatusRequestEntityTooLarge
	}
	answerJSON(w, status, map[string]any{"status": nothingPurged, "errors": strings.Split(err.Error(), "\n")})
}

func readPurge(w http.ResponseWriter, r *http.Request) (request *purgeRequest, wait time.Duration, err error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPurgeBody))
	if err != nil {
		return nil, 0, fmt.Errorf("reading the request: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&request); err != nil {
		return nil, 0, fmt.Errorf(`the request is not what POST /purge takes: %w; it takes JSON such as {"tag": "user:1", "soft": true}`, err)
	}
	if request == nil || dec.More() {
		return nil, 0, errors.New(`the request must be one JSON object such as {"tag": "user:1", "soft": true}`)
	}
	if request.Wait == "" {
		return request, 0, nil
	}
	wait, err = time.ParseDuration(request.Wait)
	if err != nil || wait <= 0 || wait > maxPurgeWait {
		return nil, 0, fmt.Errorf("wait: %q is no duration of up to %v, such as 2s", request.Wait, maxPurgeWait)
	}
	return request, wait, nil
}

// answerReport tells which targets were purged, and how far the purge has spread. The status is 200
// if all instances have applied it, 202 if some have not acknowledged it yet but will, and 503 if
// the others can't be reached, although this instance has applied it. If the purge failed, it is
// 500.
func (a *purgeAPI) answerReport(w http.ResponseWriter, purge store.Purge, report *store.Report, err error) {
	answer := map[string]any{
		"status": "purged", "epoch": report.Epoch.String(), "soft": purge.Soft, "targets": labels(purge.Targets),
		"instances": report.Instances, "applied": report.Applied, "missing": append([]string{}, report.Missing...),
		"took_ms": float64(report.Took.Microseconds()) / 1000,
	}
	switch {
	case errors.Is(err, store.ErrUnreached):
		answer["status"], answer["errors"] = "purged on this instance alone", []string{err.Error()}
		answerJSON(w, http.StatusServiceUnavailable, answer)
	case err != nil:
		answerJSON(w, http.StatusInternalServerError, map[string]any{"status": nothingPurged, "errors": []string{err.Error()}})
	case len(report.Missing) > 0:
		answer["status"] = "purged, but not yet acknowledged by all"
		answerJSON(w, http.StatusAccepted, answer)
	default:
		answerJSON(w, http.StatusOK, answer)
	}
}

// answerCount answers a dry run with the number of objects and responses that the purge would hit.
func (a *purgeAPI) answerCount(w http.ResponseWriter, purge store.Purge) {
	n := a.count(purge)
	answerJSON(w, http.StatusOK, map[string]any{
		"status": "dry run, " + nothingPurged, "dry_run": true, "soft": purge.Soft, "targets": labels(purge.Targets),
		"objects": n.objects, "responses": n.responses, "bytes": n.bytes,
		"note": "counted in this instance's memory; what other instances and the shared tier hold is not counted",
	})
}

func labels(targets []store.Target) []string {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = t.String()
	}
	return names
}

// tally counts the objects, responses and bytes that a purge would hit.
type tally struct {
	objects, responses int
	bytes              int64
}

// count applies the purge to a trial set of epochs and judges each stored response by it. Responses
// that an earlier purge removed do not count.
func (a *purgeAPI) count(purge store.Purge) (n tally) {
	trial := store.NewEpochs(a.Now)
	before := trial.Now()
	trial.ApplyLocal(purge)
	for o := range a.Stored {
		hit := 0
		for _, e := range o.Variants {
			if f, _ := trial.SubjectFate(before, store.SubjectOf(o.Key, e.Tags)); f == store.Alive {
				continue
			}
			if f, _ := a.Fate(o.Key, e); f == store.Hard {
				continue
			}
			hit++
			for i := range e.Representations {
				n.bytes += e.Representations[i].Body.Size
			}
		}
		if n.responses += hit; hit > 0 {
			n.objects++
		}
	}
	return n
}
