package fleet

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// Purge is the body of POST /purge.
type Purge struct {
	URL    string `json:"url,omitempty"`
	Prefix string `json:"prefix,omitempty"`
	Tag    string `json:"tag,omitempty"`
	Host   string `json:"host,omitempty"`
	Route  string `json:"route,omitempty"`
	All    bool   `json:"all,omitempty"`
	Soft   bool   `json:"soft,omitempty"`
	DryRun bool   `json:"dry_run,omitempty"`
	Wait   string `json:"wait,omitempty"`
}

// Purged is the response to POST /purge.
type Purged struct {
	Status    int             `json:"-"`
	Text      string          `json:"-"` // the whole body
	Epoch     json.RawMessage `json:"epoch"`
	Instances int             `json:"instances"`
	Applied   int             `json:"applied"`
	TookMS    float64         `json:"took_ms"`
	Missing   []string        `json:"missing"`
	Responses int             `json:"responses"` // of a dry run
	Took      time.Duration   `json:"-"`         // as measured by the client
	Err       error           `json:"-"`
}

// Purge asks the instance to purge.
func (i *Instance) Purge(p Purge) (a Purged) {
	body, err := json.Marshal(p)
	if err != nil {
		return Purged{Err: err}
	}
	began := time.Now()
	resp, err := i.client.Post(i.Admin+"/purge", "application/json", bytes.NewReader(body))
	if err != nil {
		return Purged{Err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	a.Took = time.Since(began)
	a.Status, a.Text, a.Err = resp.StatusCode, string(text), err
	if a.Err == nil {
		a.Err = json.Unmarshal(text, &a)
	}
	return a
}

// MustPurge is like Purge, and all instances of the fleet must acknowledge the purge.
func (f Fleet) MustPurge(by *Instance, p Purge) Purged {
	by.t.Helper()
	a := by.Purge(p)
	if a.Err != nil || a.Status != http.StatusOK || a.Instances != len(f) || a.Applied != len(f) || len(a.Missing) > 0 {
		by.t.Fatalf("purge %+v: status %d, %v\n%s", p, a.Status, a.Err, a.Text)
	}
	return a
}
