package config

import "time"

// Writes say what becomes of requests that change something.
type Writes struct {
	// Policy is how the cache learns of a write.
	Policy WritePolicy `key:"policy" enum:"invalidate|through|behind"`
	// Refresh is where policy through takes the new representation from.
	Refresh Refresh `key:"refresh" enum:"refetch|response"`
	// Queue says how policy behind applies what it has accepted.
	Queue RouteQueue `key:"queue"`
	// Targets are what a write makes stale beside its own URL: paths, or tag: and a tag, with {name} for what the match's pattern captured.
	Targets []string `key:"targets" as:"write_target"`
}

// WritePolicy is how the cache learns of a write.
type WritePolicy string

const (
	WriteInvalidate WritePolicy = "invalidate" // what a write has changed goes stale (cache-aside): the next read asks the origin
	WriteThrough    WritePolicy = "through"    // after PUT, PATCH and POST the new representation is in the cache before the writer has its answer
	WriteBehind     WritePolicy = "behind"     // PUT, PATCH, POST and DELETE are stored durably, answered 202, and applied in order of each path
)

// Refresh is where the new representation is taken from.
type Refresh string

const (
	RefreshRefetch  Refresh = "refetch"  // a GET of the write's own URL, unless the answer says that it is that (Content-Location)
	RefreshResponse Refresh = "response" // the answer to a PUT or PATCH, also where it does not say so; what can't be used is fetched
)

// RouteQueue says how a route's writes are applied that were accepted before. A write keeps what held when it was accepted.
type RouteQueue struct {
	// Retries is how often a write is tried again that fails by the moment: no answer, 5xx, 408, 425 or 429. Any other error ends it at once.
	Retries int `key:"retries" min:"0" max:"1000" print:"always"`
	// Backoff is the wait before the first of them; it doubles each time, and up to half of it is left to chance.
	Backoff time.Duration `key:"backoff" min:"1ms"`
	// MaxBackoff is where it stops doubling. An upstream's Retry-After may make it longer.
	MaxBackoff time.Duration `key:"max_backoff" min:"1ms"`
	// DeadLetter keeps what can't be applied, for `penstock writes`.
	DeadLetter bool `key:"dead_letter" print:"always"`
	// CacheBody lets reads see a queued write: the content of a PUT, and nothing after a DELETE; by whoever has the credentials that the write came with.
	CacheBody bool `key:"cache_body"`
}

// WriteQueue is where accepted writes are kept until they are applied.
type WriteQueue struct {
	// Path is the file in which this instance keeps them; left out: cache.redis, for all instances.
	Path string `key:"path" as:"file"`
	// Max is how many writes wait at the most: over it 503.
	Max int `key:"max" min:"1" max:"10000000"`
	// Size is how many bytes they may take.
	Size int64 `key:"size" as:"size" min:"1"`
	// MaxBody is the largest body that is accepted: over it 413.
	MaxBody int64 `key:"max_body" as:"size" min:"1"`
	// Workers is how many writes an instance applies at one time.
	Workers int `key:"workers" min:"1" max:"10000"`
	// Keep is how long the state of what is done is kept for those who ask, and its Idempotency-Key.
	Keep time.Duration `key:"keep" min:"1ms"`
	// Dead bounds the dead letters.
	Dead DeadLetters `key:"dead"`
}

// DeadLetters bounds how many writes are kept that could not be applied.
type DeadLetters struct {
	// Max is how many; over it the oldest goes.
	Max int `key:"max" min:"1" max:"10000000"`
	// Age is for how long.
	Age time.Duration `key:"age" min:"1ms"`
}
