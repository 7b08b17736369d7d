package config

import (
	"reflect"
	"time"
)

var (
	partType    = reflect.TypeFor[*Part]()
	onErrorType = reflect.TypeFor[OnError]()
)

// Aggregate makes one JSON answer from several calls, which run in parallel.
type Aggregate struct {
	// Timeout bounds the time for the whole answer. A part that has not arrived by then has failed.
	Timeout time.Duration `key:"timeout" min:"1ms"`
	// Parts are the calls, by name. The answer contains them in this order.
	Parts map[string]*Part `key:"parts" keyas:"part" required:"true"`
	// Merge says how the parts become one object.
	Merge Merge `key:"merge" enum:"namespace|deep"`
}

// Part is one of the calls from which an answer is made.
type Part struct {
	// Order is the part's position in the answer.
	Order int
	// Upstream is the name of the upstream that answers.
	Upstream string `key:"upstream"`
	// Path is the requested path, with an optional query. It may contain {name} for a value that
	// match.path captures, {query.name} for a parameter of the client's query, {part.field} for a
	// field of another part, and {} for the value of foreach. A call with {part.field} waits for
	// that part. Values are escaped.
	Path string `key:"path" as:"part_path"`
	// Foreach is a path to values in another part, such as orders.#.item_id. The gateway makes one
	// call for each value, and the part is the list of their results.
	Foreach string `key:"foreach" as:"json_path"`
	// Batch is the name of a route with a batch. The calls of foreach then go through that batch.
	// If you set it, you may omit Upstream and Path. Set Path to the upstream's URL of a single
	// object, so that a write to that URL makes the whole answer stale.
	Batch string `key:"batch"`
	// Limit is the largest number of values to which foreach may lead. If there are more, the part
	// fails.
	Limit int `key:"limit" min:"1" max:"10000"`
	// Timeout bounds the time for the part. 0 means as long as the whole answer.
	Timeout time.Duration `key:"timeout"`
	// Headers are the fields of the client's request that the call carries. By default it carries
	// none of them. If a call carries the client's Authorization or Cookie, only that client gets
	// the answer, unless the answer is public.
	Headers []string `key:"headers" as:"editable_field"`
	// Select is a path to the value to use from the response. "" means the whole response.
	Select string `key:"select" as:"json_path"`
	// OnError says what replaces a part that fails.
	OnError OnError `key:"on_error" enum:"fail|omit|null|default|stale"`
	// Default is the value that replaces the part with on_error: default.
	Default JSON `key:"default"`
	// MaxBody is the largest content of a response. If a response is larger, the part fails.
	MaxBody int64 `key:"max_body" as:"size" min:"1"`
	// TTL is the lifetime of the part's responses if they have no lifetime of their own. With 0
	// they are not kept.
	TTL time.Duration `key:"ttl"`
}

// Merge says how parts become one object.
type Merge string

const (
	MergeNamespace Merge = "namespace" // each part under its name
	MergeDeep      Merge = "deep"      // the objects are merged; it is an error if two parts have the same field
)

// OnError says what replaces a part that fails.
type OnError string

const (
	OnErrorFail    OnError = "fail"    // the whole answer fails
	OnErrorOmit    OnError = "omit"    // the part is left out
	OnErrorNull    OnError = "null"    // null
	OnErrorDefault OnError = "default" // the value of `default`
	OnErrorStale   OnError = "stale"   // a stored stale response of the part; without one the whole answer fails
)

// PartName returns the name of a part of the route's aggregate in cache keys and metrics.
func (r *Route) PartName(part string) string { return r.Name + "/" + part }

// setDefaults fills in the defaults of omitted keys.
func (a *Aggregate) setDefaults() {
	a.Timeout = 10 * time.Second // as long as an upstream may take to its first byte
	a.Merge = MergeNamespace
}

// setDefaults fills in the defaults of omitted keys.
func (p *Part) setDefaults() {
	p.OnError = OnErrorFail // an answer without a part must be an explicit choice
	p.Limit = 100           // a page of a list
	p.MaxBody = 4 * mib     // about ten thousand objects; the gateway holds the content in memory
}

// completeParts sets the order of the parts from the file.
func (r *Route) completeParts(n *node) {
	if r.Aggregate == nil {
		return
	}
	parts := n.get("aggregate").get("parts")
	if parts == nil {
		return
	}
	for i, f := range parts.fields {
		if p := r.Aggregate.Parts[f.key.text]; p != nil {
			p.Order = i
		}
	}
}
