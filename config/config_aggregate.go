package config

import (
	"reflect"
	"time"
)

var (
	partType    = reflect.TypeFor[*Part]()
	onErrorType = reflect.TypeFor[OnError]()
)

// Aggregate makes one JSON answer of several calls, which are made in parallel.
type Aggregate struct {
	// Timeout is how long all of it may take. Parts that are not there by then have failed.
	Timeout time.Duration `key:"timeout" min:"1ms"`
	// Parts are the calls, by name. The answer has them in this order.
	Parts map[string]*Part `key:"parts" keyas:"part" required:"true"`
	// Merge says how the parts become one object.
	Merge Merge `key:"merge" enum:"namespace|deep"`
}

// Part is one of the calls that an answer is made of.
type Part struct {
	// Order is the part's place in the answer.
	Order int
	// Upstream is the name of the upstream that answers.
	Upstream string `key:"upstream"`
	// Path is asked for, with an optional query. {name} is what match.path captured, {query.name} a parameter of the client's query,
	// {part.field} a field of another part, which is then waited for, and {} the value of foreach. Values are escaped.
	Path string `key:"path" as:"part_path"`
	// Foreach leads to values in another part, such as orders.#.item_id: one call is made for each, and the part is the list of what they bring.
	Foreach string `key:"foreach" as:"json_path"`
	// Batch is the name of a route with a batch, through which the calls of foreach are made. Upstream and Path may then be left out; Path is where
	// the upstream has a single one: a write to it makes the whole stale.
	Batch string `key:"batch"`
	// Limit is the most values that foreach may lead to; more fail the part.
	Limit int `key:"limit" min:"1" max:"10000"`
	// Timeout is how long the part may take; 0: as long as the whole.
	Timeout time.Duration `key:"timeout"`
	// Headers are the fields of the client's request that are passed on; none unless named. An answer that was asked for with a client's
	// Authorization or Cookie is for that client alone, unless it says public.
	Headers []string `key:"headers" as:"editable_field"`
	// Select leads to what is taken of the answer; "": all of it.
	Select string `key:"select" as:"json_path"`
	// OnError says what stands in the place of a part that fails.
	OnError OnError `key:"on_error" enum:"fail|omit|null|default|stale"`
	// Default is what stands there with on_error: default.
	Default JSON `key:"default"`
	// MaxBody is the most content that is taken of an answer; more fail the part.
	MaxBody int64 `key:"max_body" as:"size" min:"1"`
	// TTL is how long answers of the part are fresh that say nothing of it; 0: they are not kept.
	TTL time.Duration `key:"ttl"`
}

// Merge says how parts become one object.
type Merge string

const (
	MergeNamespace Merge = "namespace" // each part under its name
	MergeDeep      Merge = "deep"      // objects merged; two parts with one field are an error
)

// OnError says what stands in the place of a part that fails.
type OnError string

const (
	OnErrorFail    OnError = "fail"    // nothing: the whole fails
	OnErrorOmit    OnError = "omit"    // the part is left out
	OnErrorNull    OnError = "null"    // null
	OnErrorDefault OnError = "default" // the value of `default`
	OnErrorStale   OnError = "stale"   // what is stored of it, else the whole fails
)

// setDefaults fills in what a file may leave out.
func (a *Aggregate) setDefaults() {
	a.Timeout = 10 * time.Second // as long as an upstream may take to its first byte
	a.Merge = MergeNamespace
}

// setDefaults fills in what a file may leave out.
func (p *Part) setDefaults() {
	p.OnError = OnErrorFail // an answer without a part is a decision
	p.Limit = 100           // a page of a list
	p.MaxBody = 4 * mib     // some ten thousand objects; it is held whole
}

// completeParts gives the parts their places.
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
