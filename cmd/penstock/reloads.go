package main

import (
	"encoding/hex"
	"sync"
	"time"

	"github.com/penstock/penstock/proxy/observe"
)

// reloads tells of the configuration in force and of the last attempt to put another in force.
type reloads struct {
	mu      sync.Mutex
	hash    string    // of the files of the configuration in force
	since   time.Time // when it was put in force
	ok      bool      // the last attempt
	applied int
	refused int
}

var _ observe.Source = (*reloads)(nil)

// done notes that what was read is in force, or why not.
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

// Metrics tells of both.
func (r *reloads) Metrics(add func(observe.Family)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ok := 0.0
	if r.ok {
		ok = 1
	}
	add(observe.One(observe.Gauge, "penstock_config_info", "The configuration in force, by a hash of its files; 1.", 1, "hash", r.hash))
	add(observe.One(observe.Gauge, "penstock_config_last_reload_successful", "Whether the last configuration that was read was put in force.", ok))
	add(observe.One(observe.Gauge, "penstock_config_last_success_timestamp_seconds", "When the configuration in force was put there, since 1970.", float64(r.since.UnixMilli())/1e3))
	add(observe.Family{Name: "penstock_config_reloads_total", Help: "Configurations that were read, the first among them, by what became of them.", Kind: observe.Counter, Points: []observe.Point{
		{Labels: observe.Labels("outcome", "applied"), Value: float64(r.applied)}, {Labels: observe.Labels("outcome", "refused"), Value: float64(r.refused)},
	}})
}
