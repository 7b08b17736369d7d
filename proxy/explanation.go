package proxy

// Explanation says what becomes of a request and why. It is what POST /explain answers with. Durations are in seconds.
type Explanation struct {
	Request ExplainedRequest `json:"request"`
	// Refused is set where something in front of the cache answers.
	Refused *ExplainedRefusal `json:"refused,omitempty"`
	// Route is the name of the route; "": none.
	Route  string           `json:"route,omitempty"`
	Routes []ExplainedRoute `json:"routes"`
	// Key is set where the request may be answered from the cache.
	Key *ExplainedKey `json:"key,omitempty"`
	// Client are the request's own directives.
	Client   []ExplainedGround  `json:"client,omitempty"`
	Decision *ExplainedDecision `json:"decision,omitempty"`
	Stored   *ExplainedStored   `json:"stored,omitempty"`
	// Variants are stored under the same key, but not for this request.
	Variants []ExplainedVariant `json:"variants,omitempty"`
	// Response is what the origin says, or is taken to say, and what the cache makes of it.
	Response *ExplainedResponse `json:"response,omitempty"`
	Answer   *ExplainedAnswer   `json:"answer,omitempty"`
	Coding   *ExplainedCoding   `json:"coding,omitempty"`
	// Remedies are what stands in the way of answering such requests from the cache, in order; Cacheable says whether it is cached with them, or as it is
	// where there are none.
	Remedies  []ExplainedRemedy `json:"remedies,omitempty"`
	Cacheable bool              `json:"cacheable"`
	// YAML has the keys for the route that all remedies take; "": none, or they are not the route's to take.
	YAML string `json:"yaml,omitempty"`
}

// ExplainedRequest is the request in canonical form, if it has one.
type ExplainedRequest struct {
	Method    string `json:"method"`
	Scheme    string `json:"scheme"`
	Host      string `json:"host"`
	Path      string `json:"path"`
	Query     string `json:"query,omitempty"`
	ClientIP  string `json:"client_ip,omitempty"`
	Canonical bool   `json:"canonical"` // false: the guard has refused it before
	Target    string `json:"upstream_target,omitempty"`
}

// ExplainedRefusal is an answer that is given before the cache is asked.
type ExplainedRefusal struct {
	By       string `json:"by"`
	Status   int    `json:"status"`
	Detail   string `json:"detail,omitempty"`
	Location string `json:"location,omitempty"`
	Allow    string `json:"allow,omitempty"`
}

// ExplainedRoute is a route and why it was chosen or not.
type ExplainedRoute struct {
	Name   string `json:"name"`
	Match  string `json:"match"`
	Chosen bool   `json:"chosen"`
	Why    string `json:"why"`
}

// ExplainedKey is the normalised key.
type ExplainedKey struct {
	Hash  string             `json:"hash"`
	Parts []ExplainedKeyPart `json:"parts"`
	Query []ExplainedParam   `json:"query,omitempty"`
}

// ExplainedKeyPart is a part of the key. Credentials are shown as digests.
type ExplainedKeyPart struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
	Digest bool     `json:"digest,omitempty"`
}

// ExplainedParam is a query parameter.
type ExplainedParam struct {
	Param   string `json:"param"`
	Kept    bool   `json:"kept"`
	Why     string `json:"why"`
	Pattern string `json:"pattern,omitempty"`
}

// ExplainedGround is something that a message or the rules say, and what comes of it.
type ExplainedGround struct {
	Source string `json:"source"`
	Text   string `json:"text,omitempty"`
	Counts bool   `json:"counts"`
	Says   string `json:"says"`
}

// ExplainedDecision is what is done before the origin is asked.
type ExplainedDecision struct {
	Action string  `json:"action"`
	Reason string  `json:"reason"`
	Why    string  `json:"why"`
	Age    float64 `json:"age_s,omitempty"`
	TTL    float64 `json:"ttl_s,omitempty"`
	// EarlyShare is the share of such requests that have it refreshed while it is fresh.
	EarlyShare float64 `json:"early_refresh_share,omitempty"`
	// HeldDown: the origin failed a moment ago and is not asked again just now.
	HeldDown bool `json:"held_down,omitempty"`
	// Alone: such responses proved to be for one client alone, so that none waits for another's call.
	Alone bool `json:"alone,omitempty"`
	// Asks are the conditions that go to the origin.
	Asks []string `json:"asks,omitempty"`
}

// ExplainedStored is the stored response that the request selects.
type ExplainedStored struct {
	Tier     string          `json:"tier"`
	Status   int             `json:"status"`
	Age      float64         `json:"age_s"`
	Lifetime float64         `json:"lifetime_s"`
	TTL      float64         `json:"ttl_s"`
	Revalid  float64         `json:"stale_while_revalidate_s,omitempty"`
	Error    float64         `json:"stale_if_error_s,omitempty"`
	Flags    []string        `json:"flags,omitempty"`
	ETag     string          `json:"etag,omitempty"`
	Modified string          `json:"last_modified,omitempty"`
	Stored   string          `json:"received"`
	FillTime float64         `json:"fill_s,omitempty"`
	Soft     bool            `json:"softly_purged,omitempty"`
	Tags     []string        `json:"tags,omitempty"`
	Vary     []ExplainedVary `json:"vary,omitempty"`
	Forms    []ExplainedForm `json:"representations"`
	Spans    [][2]int64      `json:"spans,omitempty"`
}

// ExplainedForm is a representation that is held.
type ExplainedForm struct {
	Coding string `json:"coding"`
	Size   int64  `json:"bytes"`
}

// ExplainedVary is a field that a stored response varies on.
type ExplainedVary struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Present bool   `json:"present"`
	Matches bool   `json:"matches"`
}

// ExplainedVariant is a stored response that the request does not get.
type ExplainedVariant struct {
	Vary   []ExplainedVary `json:"vary"`
	Purged bool            `json:"purged,omitempty"`
}

// ExplainedResponse is the origin's answer and what the cache makes of it.
type ExplainedResponse struct {
	// From says where it is known from: given, fetched, stored, or assumed.
	From   string   `json:"from"`
	Status int      `json:"status,omitempty"`
	Error  string   `json:"error,omitempty"`
	Header []string `json:"header,omitempty"` // with the route's own changes
	// Rule is the number of the cache_control rule that holds, from 1; Rewritten says whether it has changed anything.
	Rule      int               `json:"cache_control_rule,omitempty"`
	Rewritten bool              `json:"rewritten,omitempty"`
	Page      string            `json:"error_page,omitempty"`
	Effect    string            `json:"effect"`
	Reason    string            `json:"reason,omitempty"`
	Why       string            `json:"why,omitempty"`
	Stores    bool              `json:"stores"`
	Lifetime  float64           `json:"lifetime_s"`
	Named     string            `json:"lifetime_from"`
	Revalid   float64           `json:"stale_while_revalidate_s,omitempty"`
	IfError   float64           `json:"stale_if_error_s,omitempty"`
	Grounds   []ExplainedGround `json:"grounds,omitempty"`
}

// ExplainedAnswer is what the client gets.
type ExplainedAnswer struct {
	Hit bool `json:"hit"`
	// Status is 0 where it depends on an answer of the origin that is not known.
	Status      int    `json:"status,omitempty"`
	CacheStatus string `json:"cache_status"`
	// Whole: nothing more is to come. Else the rest depends on what the origin says.
	Whole bool `json:"whole"`
}

// ExplainedCoding is how the content is coded.
type ExplainedCoding struct {
	Sent      string   `json:"sent"`
	Held      []string `json:"held"`
	Derivable []string `json:"derivable,omitempty"`
	Route     []string `json:"route,omitempty"`
	Why       string   `json:"why"`
}

// ExplainedRemedy is something that stands in the way of caching, and what takes it away.
type ExplainedRemedy struct {
	Reason   string `json:"reason"`
	Obstacle string `json:"obstacle"`
	// Who could change it: route, origin, client, or nobody.
	Who    string `json:"who"`
	Change string `json:"change"`
	YAML   string `json:"yaml,omitempty"`
}
