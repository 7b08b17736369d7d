package observe

import (
	"cmp"
	"slices"
)

// Kind says how the values of a Family behave.
type Kind uint8

const (
	Counter   Kind = iota // only grows while the process lives
	Gauge                 // goes up and down
	Durations             // histograms of durations
)

// Family is a metric with all its values at the time of reading. Names follow Prometheus: base
// units, _total for counters.
type Family struct {
	Name   string
	Help   string
	Kind   Kind
	Points []Point
}

// Label is a name with its value. The configuration bounds the values; clients can't add any.
type Label struct{ Name, Value string }

// Point is one value of a Family.
type Point struct {
	Labels   []Label
	Value    float64
	Duration *Histogram // for Durations
}

// Source provides metrics. It computes them when it is called, so they cost nothing until then. It
// may be called concurrently.
type Source interface {
	Metrics(add func(Family))
}

// SourceFunc is a function that is a Source.
type SourceFunc func(add func(Family))

// Metrics calls f.
func (f SourceFunc) Metrics(add func(Family)) { f(add) }

// Labels returns labels for alternating names and values.
func Labels(pairs ...string) []Label {
	out := make([]Label, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, Label{pairs[i], pairs[i+1]})
	}
	return out
}

// One returns a Family with a single value.
func One(kind Kind, name, help string, value float64, labels ...string) Family {
	return Family{Name: name, Help: help, Kind: kind, Points: []Point{{Labels: Labels(labels...), Value: value}}}
}

// Gather reads all sources. It joins families with the same name and sorts them by name.
func Gather(sources ...Source) []Family {
	at := make(map[string]int)
	var out []Family
	for _, s := range sources {
		s.Metrics(func(f Family) {
			if i, ok := at[f.Name]; ok {
				out[i].Points = append(out[i].Points, f.Points...)
				return
			}
			at[f.Name] = len(out)
			out = append(out, f)
		})
	}
	slices.SortFunc(out, func(a, b Family) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
