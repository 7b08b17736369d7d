package config

import (
	"net/http"
	"time"
)

// Batch makes one call of many single reads that come together (DataLoader). Only reads whose forwarded fields are equal share one.
type Batch struct {
	// Upstream is the name of the upstream that answers.
	Upstream string `key:"upstream" required:"true"`
	// Path is asked for. {ids} are the ids, separated by commas, and stands once, in the query; {name} is what match.path captured beside the id.
	Path string `key:"path" required:"true" as:"part_path"`
	// Window is the longest that a read waits for others. The only one that is about does not wait.
	Window time.Duration `key:"window" min:"1ms"`
	// Max is the most ids that one call asks for.
	Max int `key:"max" min:"2" max:"10000"`
	// Key leads to the id in an element. Where match.path captures several, it is the capture of that name that is the id.
	Key string `key:"key" as:"json_path"`
	// Items leads to the array in the answer; "": the answer is the array.
	Items string `key:"items" as:"json_path"`
	// Missing is the status for an id that the answer does not have. How long that is remembered is for cache.ttl.status to say.
	Missing int `key:"missing" min:"400" max:"499"`
	// MaxBody is the most content that is taken of an answer; more fail the call.
	MaxBody int64 `key:"max_body" as:"size" min:"1"`
}

// setDefaults fills in what a file may leave out.
func (b *Batch) setDefaults() {
	b.Window = 2 * time.Millisecond
	b.Max = 100 // ids of some 30 characters then fit into a URL that every server takes
	b.Key = "id"
	b.Missing = http.StatusNotFound
	b.MaxBody = 16 * mib
}

// BatchID is the name of the capture that is the id of a batch route; "": there is none.
func (r *Route) BatchID() string {
	names := captureNames(r.Match.Path)
	if len(names) == 1 {
		return names[0]
	}
	for _, name := range names {
		if r.Batch != nil && name == r.Batch.Key {
			return name
		}
	}
	return ""
}

// captureNames are the names that a pattern captures, * left out.
func captureNames(pattern string) []string {
	parts, _ := parsePattern(pattern)
	var names []string
	for _, s := range parts {
		if s.param != "" && s.param != "*" {
			names = append(names, s.param)
		}
	}
	return names
}
