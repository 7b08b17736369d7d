package main

import (
	"encoding/hex"
	"sync"
	"time"

	"github.com/penstock/penstock/proxy/observe"
)

// reloads describes the configuration in force and the outcome of the last reload.
type reloads struct {
	mu      sync.Mutex
	hash    string    // of the files that make up the configuration in force
	since   time.Time // when that configuration came into force
	ok      bool      // true if the last reload succeeded
	applied int
	refused int
}

var _ observe.Source = (*reloads)(nil)

// done records the outcome of a reload: with a nil err, the configuration that read holds is in
// force.
func (r *reloads) done(read *reading, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ok = err == nil; !r.ok {
		r.refused++
		return
	}
	r.applied++
	r.hash, r.since = hex.EncodeToString(read.sum[:8]), time.Now()
}

// Metrics reports the configuration in force and counts the reloads.
func (r *reloads) Metrics(add func(observe.Family)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ok := 0.0
	if r.ok {
		ok = 1
	}
	add(observe.One(observe.Gauge, "penstock_config_info", "Always 1; the label is a hash of the files of the configuration in force.", 1, "hash", r.hash))
	add(observe.One(observe.Gauge, "penstock_config_last_reload_successful", "1 if the last reload succeeded, 0 if the gateway refused the new configuration.", ok))
	add(observe.One(observe.Gauge, "penstock_config_last_success_timestamp_seconds", "Unix time at which the configuration in force was applied.", float64(r.since.UnixMilli())/1e3))
	add(observe.Family{Name: "penstock_config_reloads_total", Help: "Configurations read, including the one at startup, by outcome.", Kind: observe.Counter, Points: []observe.Point{
		{Labels: observe.Labels("outcome", "applied"), Value: float64(r.applied)}, {Labels: observe.Labels("outcome", "refused"), Value: float64(r.refused)},
	}})
}
