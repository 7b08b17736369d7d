package build

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// refusedEvery is how often one place logs why it can't use an origin's content. The limit keeps an
// origin that always sends such content from filling the log.
const refusedEvery = time.Second

// refusals logs why content can't be used, for one part, batch or list of pages.
type refusals struct {
	log   *slog.Logger
	now   func() time.Time
	last  atomic.Int64 // Unix nanoseconds
	muted atomic.Int64 // reasons that were not logged since then
}

// note logs a reason, unless another reason was logged a moment ago. It may be called concurrently.
func (r *refusals) note(message string, args ...any) {
	now := r.now().UnixNano()
	if last := r.last.Load(); last != 0 && now-last < int64(refusedEvery) || !r.last.CompareAndSwap(r.last.Load(), now) {
		r.muted.Add(1)
		return
	}
	if n := r.muted.Swap(0); n > 0 {
		args = append(args, "not_logged", n)
	}
	r.log.Warn(message, args...)
}
