package config

import "time"

// Aggregate answers a request from several calls, made in parallel: the answer is there when the slowest is.
type Aggregate struct {
	// Timeout is how long the answer may take in all; parts that are not there by then are missing.
	Timeout time.Duration `key:"timeout" min:"1ms"`
	// Parts are the calls, by the name under which each stands in the answer, in the order of the answer. A part that needs a field of another waits for that one alone.
	Parts map[string]*Part `key:"parts" keyas:"part_name" required:"true"`
	// Merge says how the parts become one answer.
	Merge Merge `key:"merge" enum:"namespace|deep"`
	// PartialTTL is how long an answer that lacks a part may be cached, where the part's upstream does not say when to come back.
	PartialTTL time.Duration `key:"partial_ttl" min:"1s"`
	// Limits bound what one answer may cost.
	Limits AggregateLimits `key:"limits"`
}

// AggregateLimits bound what one answer may cost.
type AggregateLimits struct {
	// PartBytes bounds the answer of one call.
	PartBytes int64 `key:"part_bytes" as:"size" min:"1"`
	// Bytes bounds the answers of all calls together.
	Bytes int64 `key:"bytes" as:"size" min:"1"`
	// Depth bounds how deeply the JSON of an answer is nested.
	Depth int `key:"depth" min:"1" max:"10000"`
	// Parallel is how many calls are made at once; those that go through a batch do not count.
	Parallel int `key:"parallel" min:"1" max:"10000"`
}

// Part is one call of an aggregate. It is made with GET and cached by its own Cache-Control.
type Part struct {
	// Upstream is the name of the upstream that is called; not needed with `batch`.
	Upstream string `key:"upstream"`
	// Path is what is called: {name} is what the match's pattern captured, {part.field} a field of another part's answer, {} the value of `foreach`. Values are escaped.
	// With `batch` the calls go to the batch instead.
	Path string `key:"path" as:"part_path" required:"true"`
	// Timeout is how long the part may take; 0: as long as the whole.
	Timeout time.Duration `key:"timeout"`
	// Headers are the request's fields that are passed on; others, above all Authorization and Cookie, are not. What was asked with either is shared only where its
	// upstream says so.
	Headers []string `key:"headers" as:"editable_field"`
	// Select is what is taken of the answer: names and positions parted by dots, # for every element of an array. Left out: all of it.
	Select string `key:"select" as:"path"`
	// OnError says what becomes of the answer where the part can't be had.
	OnError OnError `key:"on_error" enum:"fail|omit|null|default|stale"`
	// Default stands in the part's place with on_error: default.
	Default JSON `key:"default"`
	// Foreach has the part called once for each value of a list in another part's answer, such as orders.#.item_id; the part is then the list of what came of it.
	Foreach string `key:"foreach" as:"path"`
	// Limit is how many values of foreach there may be; more are an error of the part. Left out: 100.
	Limit int `key:"limit" min:"1" max:"10000"`
	// Batch is the route whose batch the calls of foreach go through.
	Batch string `key:"batch"`
	// Tags are tags of the part's answer beside those that it brings, with {name} for what the match's pattern captured.
	Tags []string `key:"tags" as:"tag"`
	// Cache lets the part be answered from cache, by its own Cache-Control.
	Cache bool `key:"cache" print:"always"`

	// Place is the part's place among the parts.
	Place int
}

// order is the place of a value in a map whose order counts.
func (p *Part) order() *int { return &p.Place }

// Merge says how parts become one answer.
type Merge string

const (
	MergeNamespace Merge = "namespace" // each stands under its name
	MergeDeep      Merge = "deep"      // their fields are put into one object, objects within it likewise; two parts with one field are an error
)

// OnError says what becomes of the answer where a part can't be had.
type OnError string

const (
	OnErrorFail    OnError = "fail"    // it fails with the part's status, or 502 or 504
	OnErrorOmit    OnError = "omit"    // it goes without the part
	OnErrorNull    OnError = "null"    // null stands in the part's place
	OnErrorDefault OnError = "default" // what `default` says does
	OnErrorStale   OnError = "stale"   // the part's last answer does, however old, up to a day; where there is none it is as with fail
)

// JSON is any value, as JSON text; "" is none.
type JSON string

// Batch turns single reads that are about at the same time into one call.
type Batch struct {
	// Upstream is the name of the upstream that is called.
	Upstream string `key:"upstream" required:"true"`
	// Path is what is called: {ids} are the identifiers, parted by commas, {name} what the match's pattern captured beside the one parameter that is the identifier.
	Path string `key:"path" as:"part_path" required:"true"`
	// Window is how long a read waits for others at most. It waits only while some are on their way.
	Window time.Duration `key:"window" max:"1s"`
	// Max is how many reads one call takes.
	Max int `key:"max" min:"1" max:"10000"`
	// Key is the field of an element that holds its identifier.
	Key string `key:"key" as:"path" required:"true"`
	// Items is where the array of elements is in the answer; left out: the answer is the array.
	Items string `key:"items" as:"path"`
	// Missing is the status for an identifier that the answer does not have.
	Missing int `key:"missing" min:"400" max:"499"`
	// Headers are the request's fields that are passed on. Requests that differ in one of them never share a call.
	Headers []string `key:"headers" as:"editable_field"`
	// URLBytes bounds the URL of a call; more identifiers than fit go into another.
	URLBytes int64 `key:"url_bytes" as:"size" min:"64"`
	// Bytes bounds the answer of a call.
	Bytes int64 `key:"bytes" as:"size" min:"1"`
}

// Paginate is for lists that come page by page.
type Paginate struct {
	// Limit is the parameter for the size of a page.
	Limit PageLimit `key:"limit"`
	// Cursor is the parameter that leads to the next page.
	Cursor PageCursor `key:"cursor"`
	// LinkHeader adds Link with rel=next (RFC 8288) to pages that have a next one.
	LinkHeader bool `key:"link_header" print:"always"`
	// Prefetch is how many of the next pages are fetched into the cache while a client reads one.
	Prefetch int `key:"prefetch" max:"10"`
}

// PageLimit is the parameter for the size of a page. It is settled before the key is made: requests that come to the same size share an object.
type PageLimit struct {
	// Param is the parameter's name; "": there is none.
	Param string `key:"param" as:"parameter"`
	// Default is the size where a request names none, or one that is no number above 0.
	Default int `key:"default" min:"1"`
	// Max is the largest size; what asks for more gets as much.
	Max int `key:"max" min:"1"`
}

// PageCursor is the parameter that leads to the next page.
type PageCursor struct {
	// Param is the parameter's name.
	Param string `key:"param" as:"parameter"`
	// Next is where a page has the value of the parameter for the next one: a path such as pagination.next_cursor.
	Next string `key:"next" as:"path"`
}

// setDefaults fills in what a file may leave out.
func (a *Aggregate) setDefaults() {
	*a = Aggregate{
		Timeout:    10 * time.Second, // as long as an upstream may take to its first byte
		Merge:      MergeNamespace,   // two parts can't collide
		PartialTTL: time.Second,      // as long as an upstream that failed is left alone
		Limits: AggregateLimits{
			PartBytes: 8 * mib,  // what the memory tier keeps of one response
			Bytes:     32 * mib, // four of the largest
			Depth:     128,      // no honest document comes near
			Parallel:  16,       // a foreach without a batch must not take an upstream's whole pool
		},
	}
}

// setDefaults fills in what a file may leave out.
func (p *Part) setDefaults() {
	*p = Part{
		Headers: []string{"Accept-Language"}, // nothing that is one client's
		OnError: OnErrorFail,                 // a part that may be missing is a decision
		Cache:   true,
	}
}

// complete fills in what only a foreach has.
func (p *Part) complete() {
	if p.Foreach != "" && p.Limit == 0 {
		p.Limit = 100
	}
}

// setDefaults fills in what a file may leave out.
func (b *Batch) setDefaults() {
	*b = Batch{
		Window:  2 * time.Millisecond, // nobody notices, and a burst fits
		Max:     100,
		Missing: 404, Headers: []string{"Accept-Language", "Authorization"}, // a read alone would have brought them, and they tell clients apart
		URLBytes: 4 * kib, // what every server takes
		Bytes:    8 * mib,
	}
}

// setDefaults fills in what a file may leave out.
func (p *Paginate) setDefaults() {
	*p = Paginate{Limit: PageLimit{Default: 50, Max: 100}, LinkHeader: true}
}
