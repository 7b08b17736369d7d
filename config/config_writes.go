package config

import "time"

// Writes say how the gateway handles requests that change something.
type Writes struct {
	// Policy says how a write affects the cache.
	Policy WritePolicy `key:"policy" enum:"invalidate|through|behind"`
	// Refresh is the source of the new representation for policy through.
	Refresh Refresh `key:"refresh" enum:"refetch|response"`
	// OrderBy puts all writes with the same value into one sequence. {name} stands for a value that
	// match.path captures. If omitted, the writes of each path are one sequence. Routes on one host
	// share the values, so /orders/{id} and /orders/{id}/* keep their order with "{id}". A word in
	// front, as in "order:{id}", separates unrelated routes. It applies to policy behind.
	OrderBy string `key:"order_by" as:"order_key"`
	// RetryOn adds upstream statuses after which a write is retried, such as 404 while its parent
	// is missing. 408, 425, 429 and 5xx are always retried. It applies to policy behind.
	RetryOn []int `key:"retry_on" min:"400" max:"599"`
	// Queue configures how policy behind applies accepted writes.
	Queue RouteQueue `key:"queue"`
	// Targets are paths, or tag: and a tag, that a write makes stale in addition to its own URL.
	// {name} stands for a value that match.path captures. If a target exceeds 16 KiB, the write
	// makes all responses below its path stale, or for a tag all responses of which not every tag
	// is kept.
	Targets []string `key:"targets" as:"write_target"`
}

// WritePolicy says how a write affects the cache.
type WritePolicy string

const (
	WriteInvalidate WritePolicy = "invalidate" // a write makes the responses that it changes stale (cache-aside), so the next read asks the origin
	WriteThrough    WritePolicy = "through"    // after PUT, PATCH and POST the cache has the new representation before the client gets its answer
	WriteBehind     WritePolicy = "behind"     // PUT, PATCH, POST and DELETE are stored durably, answered with 202, and applied in order for each path
)

// Refresh is the source of the new representation.
type Refresh string

const (
	RefreshRefetch  Refresh = "refetch"  // a GET of the write's own URL, unless the answer itself is the new representation (Content-Location)
	RefreshResponse Refresh = "response" // the answer to a PUT or PATCH, even without Content-Location; if it can't be used, a GET
)

// RouteQueue says how the queue applies a route's accepted writes. Each write keeps the settings
// from when it was accepted.
type RouteQueue struct {
	// Retries is how often a write is retried after a temporary failure: no answer, 5xx, 408, 425
	// or 429. Any other error ends it at once.
	Retries int `key:"retries" min:"0" max:"1000" print:"always"`
	// Backoff is the wait before the first retry. It doubles with each retry, and up to half of it
	// is random.
	Backoff time.Duration `key:"backoff" min:"1ms"`
	// MaxBackoff bounds the doubling. An upstream's Retry-After may exceed it.
	MaxBackoff time.Duration `key:"max_backoff" min:"1ms"`
	// DeadLetter keeps writes that can't be applied, for `penstock writes`.
	DeadLetter bool `key:"dead_letter" print:"always"`
	// CacheBody lets reads see a queued write: the content of a PUT, or nothing after a DELETE.
	// Only requests with the same credentials as the write see it.
	CacheBody bool `key:"cache_body"`
}

// WriteQueue stores accepted writes until they are applied.
type WriteQueue struct {
	// Path is the file in which this instance stores writes. If omitted, cache.redis stores them
	// for all instances.
	Path string `key:"path" as:"file"`
	// AcceptEviction accepts writes although cache.redis has a maxmemory-policy that may evict them
	// (allkeys-*). Without it, the gateway answers writes with 503 if Redis has such a policy.
	AcceptEviction bool `key:"accept_eviction"`
	// Max is the largest number of waiting writes. Further writes get 503.
	Max int `key:"max" min:"1" max:"10000000"`
	// Size bounds the bytes of the waiting writes.
	Size int64 `key:"size" as:"size" min:"1"`
	// MaxBody is the largest accepted body. A larger one gets 413.
	MaxBody int64 `key:"max_body" as:"size" min:"1"`
	// Workers is the number of writes that an instance applies at the same time.
	Workers int `key:"workers" min:"1" max:"10000"`
	// Keep is how long the gateway keeps the state of a finished write, and its Idempotency-Key.
	Keep time.Duration `key:"keep" min:"1ms"`
	// Dead bounds the dead letters.
	Dead DeadLetters `key:"dead"`
}

// DeadLetters bounds the writes that are kept because they could not be applied.
type DeadLetters struct {
	// Max is their largest number. If there are more, the oldest is removed.
	Max int `key:"max" min:"1" max:"10000000"`
	// Age is how long they are kept.
	Age time.Duration `key:"age" min:"1ms"`
}
