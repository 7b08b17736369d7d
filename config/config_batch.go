package config

import (
	"net/http"
	"time"
)

// Batch joins concurrent single reads into one call (DataLoader). Only reads with equal forwarded
// fields share a call.
type Batch struct {
	// Upstream is the name of the upstream that answers.
	Upstream string `key:"upstream" required:"true"`
	// Path is the requested path. {ids} stands for the ids, separated by commas, and must occur
	// once, in the query. {name} is a value that match.path captures, other than the id.
	Path string `key:"path" required:"true" as:"part_path"`
	// Window is the longest time for which a read waits for others. If it is the only read in
	// progress, it does not wait.
	Window time.Duration `key:"window" min:"1ms"`
	// Max is the largest number of ids in one call.
	Max int `key:"max" min:"2" max:"10000"`
	// Key is the path to the id in an element. If match.path captures several values, the one with
	// this name is the id.
	Key string `key:"key" as:"json_path"`
	// Items is the path to the array in the response. "" means that the response itself is the
	// array.
	Items string `key:"items" as:"json_path"`
	// Missing is the status for an id that the response does not contain. cache.ttl.status says how
	// long the gateway caches this.
	Missing int `key:"missing" min:"400" max:"499"`
	// MaxBody is the largest content of a response. If a response is larger, the call fails.
	MaxBody int64 `key:"max_body" as:"size" min:"1"`
}

// setDefaults fills in the defaults of omitted keys.
func (b *Batch) setDefaults() {
	b.Window = 2 * time.Millisecond
	b.Max = 100 // ids of some 30 characters then fit into a URL that every server accepts
	b.Key = "id"
	b.Missing = http.StatusNotFound
	b.MaxBody = 16 * mib
}

// BatchID returns the name of the capture that is the id of a batch route, or "" if no capture is.
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

// captureNames returns the names that a pattern captures, except *.
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
