package explain

// Explanation tells how the gateway handles a request, and why. It is the response to POST
// /explain. Durations are in seconds.
type Explanation struct {
	Request Request `json:"request"`
	// Refused is set if the guard, the router or a stage answers before the cache.
	Refused *Refusal `json:"refused,omitempty"`
	// Unexplained names the stages of the route that can't explain themselves. The rest of the
	// Explanation assumes that they let the request pass.
	Unexplained []string `json:"unexplained_stages,omitempty"`
	// Notes tell facts about stages that let the request pass, such as the rest of a rate limit.
	Notes []string `json:"notes,omitempty"`
	// Route is the name of the chosen route, or "" if no route takes the request.
	Route  string  `json:"route,omitempty"`
	Routes []Route `json:"routes"`
	// CORS tells which fields of the CORS protocol the response has. It is set if the route has rules
	// about pages of other origins and no stage refuses the request before.
	CORS *CORS `json:"cors,omitempty"`
	// Key is set if the cache may answer the request.
	Key *Key `json:"key,omitempty"`
	// Client holds the request's own directives and their effect.
	Client   []Ground  `json:"client,omitempty"`
	Decision *Decision `json:"decision,omitempty"`
	Stored   *Stored   `json:"stored,omitempty"`
	// Variants are stored under the same key, but do not match this request.
	Variants []Variant `json:"variants,omitempty"`
	// Response is the origin's response, real or assumed, and its handling by the cache.
	Response *Response `json:"response,omitempty"`
	Answer   *Reply    `json:"answer,omitempty"`
	Coding   *Coding   `json:"coding,omitempty"`
	// Remedies are the obstacles to answering such requests from the cache, in order. Cacheable is
	// true if the response is cached with all remedies applied, or as it stands if there is no
	// remedy.
	Remedies  []Remedy `json:"remedies,omitempty"`
	Cacheable bool     `json:"cacheable"`
	// YAML has the route's keys that apply all remedies. It is "" if there is no remedy, or if the
	// remedies are not up to the route.
	YAML string `json:"yaml,omitempty"`
}

// Request is the request, in canonical form if the guard let it pass.
type Request struct {
	Method    string `json:"method"`
	Scheme    string `json:"scheme"`
	Host      string `json:"host"`
	Path      string `json:"path"`
	Query     string `json:"query,omitempty"`
	ClientIP  string `json:"client_ip,omitempty"`
	Canonical bool   `json:"canonical"` // false if the guard refused it before
	Target    string `json:"upstream_target,omitempty"`
}

// Refusal is an answer that the gateway gives before it asks the cache.
type Refusal struct {
	By       string `json:"by"`
	Status   int    `json:"status"`
	Detail   string `json:"detail,omitempty"`
	Location string `json:"location,omitempty"`
	Allow    string `json:"allow,omitempty"`
	// Stage is the name of the route's stage that refuses the request, if one does, and Why tells
	// its reason if the detail, which clients see, does not.
	Stage string `json:"stage,omitempty"`
	Why   string `json:"why,omitempty"`
}

// Route is a route and the reason why it was chosen or not.
type Route struct {
	Name   string `json:"name"`
	Match  string `json:"match"`
	Chosen bool   `json:"chosen"`
	Why    string `json:"why"`
}

// CORS holds the fields of the CORS protocol in the response, as lines, and the reason for them. Why
// is "" if the response is a Refusal, which tells the reason.
type CORS struct {
	Fields []string `json:"fields"`
	Why    string   `json:"why,omitempty"`
}

// Key is the normalised cache key.
type Key struct {
	Hash  string    `json:"hash"`
	Parts []KeyPart `json:"parts"`
	Query []Param   `json:"query,omitempty"`
}

// KeyPart is a part of the key. Credentials are shown as digests.
type KeyPart struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
	Digest bool     `json:"digest,omitempty"`
}

// Param is a query parameter. Kept is true if it belongs to the key.
type Param struct {
	Param   string `json:"param"`
	Kept    bool   `json:"kept"`
	Why     string `json:"why"`
	Pattern string `json:"pattern,omitempty"`
}

// Ground is a fact that decided: a directive or field of a message, or a rule, and its effect.
// Counts is false if the rules ignore it.
type Ground struct {
	Source string `json:"source"`
	Text   string `json:"text,omitempty"`
	Counts bool   `json:"counts"`
	Says   string `json:"says"`
}

// Decision is the cache's decision before it asks the origin.
type Decision struct {
	Action string  `json:"action"`
	Reason string  `json:"reason"`
	Why    string  `json:"why"`
	Age    float64 `json:"age_s,omitempty"`
	TTL    float64 `json:"ttl_s,omitempty"`
	// EarlyShare is the share of such requests that refresh the response while it is fresh.
	EarlyShare float64 `json:"early_refresh_share,omitempty"`
	// HeldDown is true if the origin failed a moment ago, so that the cache does not ask it again
	// yet.
	HeldDown bool `json:"held_down,omitempty"`
	// Alone is true if recent responses for this key were not shareable, so that a request does not
	// wait for another request's fill.
	Alone bool `json:"alone,omitempty"`
	// Asks are the conditions that the cache sends to the origin.
	Asks []string `json:"asks,omitempty"`
}

// Stored is the stored response that the request selects.
type Stored struct {
	Tier     string     `json:"tier"`
	Status   int        `json:"status"`
	Age      float64    `json:"age_s"`
	Lifetime float64    `json:"lifetime_s"`
	TTL      float64    `json:"ttl_s"`
	Revalid  float64    `json:"stale_while_revalidate_s,omitempty"`
	Error    float64    `json:"stale_if_error_s,omitempty"`
	Flags    []string   `json:"flags,omitempty"`
	ETag     string     `json:"etag,omitempty"`
	Modified string     `json:"last_modified,omitempty"`
	Stored   string     `json:"received"`
	FillTime float64    `json:"fill_s,omitempty"`
	Soft     bool       `json:"softly_purged,omitempty"`
	Doubted  bool       `json:"purges_unknown,omitempty"` // this instance may have missed purges of other instances, so it validates the response before each use
	Tags     []string   `json:"tags,omitempty"`
	Vary     []Vary     `json:"vary,omitempty"`
	Forms    []Form     `json:"representations"`
	Spans    [][2]int64 `json:"spans,omitempty"`
}

// Form is a stored representation.
type Form struct {
	Coding string `json:"coding"`
	Size   int64  `json:"bytes"`
}

// Vary is a field that a stored response varies on. Matches is true if the request has the same
// value.
type Vary struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Present bool   `json:"present"`
	Matches bool   `json:"matches"`
}

// Variant is a stored response that does not match the request.
type Variant struct {
	Vary   []Vary `json:"vary"`
	Purged bool   `json:"purged,omitempty"`
	// Cookie is true if the request has a cookie and the response is not declared reusable.
	Cookie bool `json:"cookie,omitempty"`
}

// Response is the origin's response and its handling by the cache.
type Response struct {
	// From names the source of the response: given, fetched, stored, or assumed.
	From   string   `json:"from"`
	Status int      `json:"status,omitempty"`
	Error  string   `json:"error,omitempty"`
	Header []string `json:"header,omitempty"` // with the route's own changes
	// Rule is the number of the cache_control rule that applies, from 1, or 0 if no rule applies.
	// Rewritten is true if the rule changed the response.
	Rule      int      `json:"cache_control_rule,omitempty"`
	Rewritten bool     `json:"rewritten,omitempty"`
	Page      string   `json:"error_page,omitempty"`
	Effect    string   `json:"effect"`
	Reason    string   `json:"reason,omitempty"`
	Why       string   `json:"why,omitempty"`
	Stores    bool     `json:"stores"`
	Lifetime  float64  `json:"lifetime_s"`
	Named     string   `json:"lifetime_from"`
	Revalid   float64  `json:"stale_while_revalidate_s,omitempty"`
	IfError   float64  `json:"stale_if_error_s,omitempty"`
	Grounds   []Ground `json:"grounds,omitempty"`
}

// Reply is the response to the client.
type Reply struct {
	Hit bool `json:"hit"`
	// Status is 0 if it depends on a response of the origin that is not known.
	Status      int    `json:"status,omitempty"`
	CacheStatus string `json:"cache_status"`
	// Whole is true if the Reply is complete. If it is false, the rest depends on the origin's
	// response.
	Whole bool `json:"whole"`
}

// Coding tells how the content is coded.
type Coding struct {
	Sent      string   `json:"sent"`
	Held      []string `json:"held"`
	Derivable []string `json:"derivable,omitempty"`
	Route     []string `json:"route,omitempty"`
	Why       string   `json:"why"`
}

// Remedy is an obstacle to caching, and the change that removes it.
type Remedy struct {
	Reason   string `json:"reason"`
	Obstacle string `json:"obstacle"`
	// Who can make the change: "route", "origin" or "client"; "nobody" if no change helps.
	Who    string `json:"who"`
	Change string `json:"change"`
	YAML   string `json:"yaml,omitempty"`
}
