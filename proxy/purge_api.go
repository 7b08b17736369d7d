package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
)

const (
	maxPurgeBody = 1 << 20
	maxPurgeWait = time.Minute
	// nothingPurged is the status word of refused requests.
	nothingPurged = "nothing purged"
)

// purgeAPI is POST /purge of the admin API.
type purgeAPI struct {
	purger purger
	router func() *router                                                         // of the running configuration
	stored func(yield func(*store.Object) bool)                                   // this instance's memory
	fate   func(cachepolicy.Key, *store.Entry) (fate store.Fate, since time.Time) // what purges have left of it
	now    func() time.Time
}

// purges is the API of what g has stored.
func (g *Gateway) purges() *purgeAPI {
	return &purgeAPI{
		purger: g.live.purger, router: func() *router { return g.snapshot.Load().router },
		stored: g.live.memory.All, fate: g.live.epochs.FateOf, now: g.options.Now,
	}
}

// purgeRequest is the body of POST /purge. What it names is purged if any of the targets names it, except that host says which host a path in url or
// prefix is of.
type purgeRequest struct {
	URL    texts  `json:"url"`    // absolute, http or https, which makes no difference; or a path of host
	Prefix texts  `json:"prefix"` // beginnings of paths: /a/, example.com/a/ or https://example.com/a/
	Tag    texts  `json:"tag"`
	Host   texts  `json:"host"` // with its port where that is not the scheme's
	Route  texts  `json:"route"`
	All    bool   `json:"all"`
	Soft   bool   `json:"soft"`    // what is hit goes stale; else it is gone
	DryRun bool   `json:"dry_run"` // only count, in this instance's memory
	Wait   string `json:"wait"`    // how long to wait for the other instances, as in 2s
}

// texts is one string or a list of them.
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
	targets, err := request.targets(a.router())
	if err != nil {
		refusePurge(w, err)
		return
	}
	purge := store.Purge{At: a.now(), Soft: request.Soft, Targets: targets}
	if request.DryRun {
		a.answerCount(w, purge)
		return
	}
	report, err := a.purger.Purge(r.Context(), purge, wait)
	a.answerReport(w, purge, &report, err)
}

func refusePurge(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		status = http.StatusRequestEntityTooLarge
	}
	adminAnswer(w, status, map[string]any{"status": nothingPurged, "errors": strings.Split(err.Error(), "\n")})
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

// answerReport says what was purged, and how far. All instances are meant to have applied it: 200; some have not said so yet: 202, they will;
// the others can't be reached: 503, although it holds here.
func (a *purgeAPI) answerReport(w http.ResponseWriter, purge store.Purge, report *store.Report, err error) {
	answer := map[string]any{
		"status": "purged", "epoch": report.Epoch.String(), "soft": purge.Soft, "targets": labels(purge.Targets),
		"instances": report.Instances, "applied": report.Applied, "missing": append([]string{}, report.Missing...),
		"took_ms": float64(report.Took.Microseconds()) / 1000,
	}
	switch {
	case errors.Is(err, store.ErrUnreached):
		answer["status"], answer["errors"] = "purged on this instance alone", []string{err.Error()}
		adminAnswer(w, http.StatusServiceUnavailable, answer)
	case err != nil:
		adminAnswer(w, http.StatusInternalServerError, map[string]any{"status": nothingPurged, "errors": []string{err.Error()}})
	case len(report.Missing) > 0:
		answer["status"] = "purged, but not yet acknowledged by all"
		adminAnswer(w, http.StatusAccepted, answer)
	default:
		adminAnswer(w, http.StatusOK, answer)
	}
}

// answerCount says what a purge would hit.
func (a *purgeAPI) answerCount(w http.ResponseWriter, purge store.Purge) {
	n := a.count(purge)
	adminAnswer(w, http.StatusOK, map[string]any{
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

// tally is what a purge would hit.
type tally struct {
	objects, responses int
	bytes              int64
}

// count judges all that is stored as after the purge. What is dead already is not counted.
func (a *purgeAPI) count(purge store.Purge) (n tally) {
	trial := store.NewEpochs(a.now)
	before := trial.Now()
	trial.ApplyLocal(purge)
	for o := range a.stored {
		hit := 0
		for _, e := range o.Variants {
			if f, _ := trial.Judge(before, store.SubjectOf(o.Key, e.Tags)); f == store.Alive {
				continue
			}
			if f, _ := a.fate(o.Key, e); f == store.Hard {
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
