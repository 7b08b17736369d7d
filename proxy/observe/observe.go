package observe

import "time"

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	h.Count++
	h.Sum += d
	h.Buckets[bucketOf(d)]++
}
