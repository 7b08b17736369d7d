package observe

import (
	"cmp"
	"slices"
)

// Kind is what the values of a Family are.
type Kind uint8

const (
	Counter   Kind = iota // only grows while the process lives
	Gauge                 // goes up and down
	Durations             // histograms of durations
)

// Family is a metric with all its values, as they are when they are read. Names follow Prometheus: base units, _total for counters.
type Family struct {
	Name   string
	Help   string
	Kind   Kind
	Points []Point
}

// Label is a name with its value. Values are bounded by the configuration, never by what clients send.
type Label struct{ Name, Value string }

// Point is one value of a Family.
type Point struct {
	Labels   []Label
	Value    float64
	Duration *Histogram // of Durations
}

// Source has metrics. They are read when somebody asks for them, so that they cost nothing until then. It may be called concurrently.
type Source interface {
	Metrics(add func(Family))
}

// SourceFunc is a Source that is a function.
type SourceFunc func(add func(Family))

// Metrics calls f.
func (f SourceFunc) Metrics(add func(Family)) { f(add) }

// Labels makes labels of names and values in turn.
func Labels(pairs ...string) []Label {
	out := make([]Label, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, Label{pairs[i], pairs[i+1]})
	}
	return out
}

// One is a Family of a single value.
func One(kind Kind, name, help string, value float64, labels ...string) Family {
	return Family{Name: name, Help: help, Kind: kind, Points: []Point{{Labels: Labels(labels...), Value: value}}}
}

// Gather reads all sources. Families of one name become one; their order is that of the names.
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
