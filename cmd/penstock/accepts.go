package main

import (
	"github.com/penstock/penstock/cmd/penstock/listen"
	"github.com/penstock/penstock/proxy/observe"
)

// accepts reports the failures to accept connections as metrics.
type accepts struct{ failures *listen.AcceptFailures }

// Metrics reports the failures by reason.
func (a accepts) Metrics(add func(observe.Family)) {
	by := func(reason string, n uint64) observe.Point {
		return observe.Point{Labels: observe.Labels("reason", reason), Value: float64(n)}
	}
	add(observe.Family{
		Name: "penstock_accept_failures_total", Help: "Failures to accept a client's connection, by reason: no open files left (ulimit -n), no memory left, or another one.", Kind: observe.Counter,
		Points: []observe.Point{by("no_files", a.failures.NoFiles.Load()), by("no_memory", a.failures.NoMemory.Load()), by("other", a.failures.Other.Load())},
	})
}
