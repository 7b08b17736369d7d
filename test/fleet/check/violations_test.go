package check

import (
	"slices"
	"testing"
	"time"
)

// at is a moment of a hand-written history, in seconds.
func at(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func read(on string, start float64, version int64) Op {
	return Op{Kind: Read, On: on, Start: at(start), End: at(start + 0.1), Status: 200, Path: "/x", Version: version}
}

func stale(op Op) Op { op.Stale = true; return op }

// purge is a hard one of /x that is answered after 0.5 s.
func purge(on string, start float64, version int64, status int, missing ...string) Op {
	return Op{Kind: Purge, On: on, Start: at(start), End: at(start + 0.5), Status: status, Version: version, Paths: []string{"/x"}, Missing: missing}
}

func soft(op Op) Op { op.Soft = true; return op }

func write(on string, start float64, version int64) Op {
	return Op{Kind: Write, On: on, Start: at(start), End: at(start + 0.5), Status: 204, Path: "/x", Version: version, Policy: Invalidate}
}

func behind(start float64, number, status int) Op {
	return Op{Kind: Write, On: "a.1", Start: at(start), End: at(start + 0.1), Status: status, Path: "/q", Policy: Behind, Number: number}
}

func failed(op Op, status int) Op { op.Status, op.Version = status, 0; return op }

func arrives(s float64, number int, key string) Arrival { return Arrival{at(s), "/q", number, key} }

// lives are a and b for the whole run, b again from 10 s on, and one of which the name is not
// known.
func lives() []Life {
	return []Life{{"a.1", true, 0, at(100)}, {"b.1", true, 0, at(9)}, {"b.2", true, at(10), at(100)}, {"c.1", false, 0, at(100)}}
}

func loss(start, end float64) Fault { return Fault{"flush", at(start), at(end), true} }

// TestViolations has a history for each rule in which it is broken, and close to it histories in
// which it is not.
func TestViolations(t *testing.T) {
	none := []Violation{}
	for name, c := range map[string]struct {
		h    History
		want []Violation
	}{
		"read after a 200":                 {History{Ops: []Op{purge("a.1", 1, 7, 200), read("b.1", 2, 6)}}, []Violation{{StaleAfterPurge, 1, 0}}},
		"new version after a 200":          {History{Ops: []Op{purge("a.1", 1, 7, 200), read("b.1", 2, 7)}}, none},
		"read that began before a 200":     {History{Ops: []Op{purge("a.1", 1, 7, 200), read("b.1", 1.45, 6)}}, none},
		"read of another path":             {History{Ops: []Op{purge("a.1", 1, 7, 200), {Kind: Read, On: "b.1", Start: at(2), Status: 200, Path: "/y", Version: 6}}}, none},
		"stale read after a hard purge":    {History{Ops: []Op{purge("a.1", 1, 7, 200), stale(read("b.1", 2, 6))}}, []Violation{{StaleAfterPurge, 1, 0}}},
		"the newest purge is named":        {History{Ops: []Op{purge("a.1", 1, 7, 200), purge("a.1", 2, 8, 200), read("b.1", 3, 6)}}, []Violation{{StaleAfterPurge, 2, 1}}},
		"purge without an answer":          {History{Ops: []Op{failed(purge("b.1", 8.8, 7, 0), 0), read("b.2", 11, 6)}}, none},
		"later life after a 200":           {History{Ops: []Op{purge("a.1", 1, 7, 200), read("b.2", 11, 6)}}, []Violation{{StaleAfterPurge, 1, 0}}},
		"later life after a loss":          {History{Ops: []Op{purge("a.1", 1, 7, 200), read("b.2", 11, 6)}, Faults: []Fault{loss(10, 10.5)}}, none},
		"later life long after a loss":     {History{Ops: []Op{purge("a.1", 1, 7, 200), read("b.2", 16, 6)}, Faults: []Fault{loss(10, 10.5)}}, []Violation{{StaleAfterPurge, 1, 0}}},
		"same life after a loss":           {History{Ops: []Op{purge("a.1", 1, 7, 200), read("a.1", 11, 6)}, Faults: []Fault{loss(10, 10.5)}}, []Violation{{StaleAfterPurge, 1, 0}}},
		"fresh read after a soft purge":    {History{Ops: []Op{soft(purge("a.1", 1, 7, 200)), read("b.1", 2, 6)}}, []Violation{{FreshAfterSoft, 1, 0}}},
		"stale read after a soft purge":    {History{Ops: []Op{soft(purge("a.1", 1, 7, 200)), stale(read("b.1", 2, 6))}}, none},
		"stale read after soft and hard":   {History{Ops: []Op{soft(purge("a.1", 2, 8, 200)), purge("a.1", 1, 7, 200), stale(read("b.1", 3, 6))}}, []Violation{{StaleAfterPurge, 2, 1}}},
		"202 that does not name the life":  {History{Ops: []Op{purge("a.1", 1, 7, 202, "c.1"), read("b.1", 2, 6)}}, []Violation{{StaleAfterPurge, 1, 0}}},
		"202 that names the life":          {History{Ops: []Op{purge("a.1", 1, 7, 202, "b.1"), read("b.1", 2, 6)}}, none},
		"202 with an unknown name":         {History{Ops: []Op{purge("a.1", 1, 7, 202, "?"), read("c.1", 2, 6)}}, none},
		"202 with an unknown other name":   {History{Ops: []Op{purge("a.1", 1, 7, 202, "?"), read("b.1", 2, 6)}}, []Violation{{StaleAfterPurge, 1, 0}}},
		"202 on the instance itself":       {History{Ops: []Op{purge("a.1", 1, 7, 202, "b.1"), read("a.1", 2, 6)}}, []Violation{{StaleAfterPurge, 1, 0}}},
		"202 within the bound":             {History{Ops: []Op{purge("a.1", 1, 7, 202, "b.1"), read("b.1", 7, 6)}, Bound: at(6)}, none},
		"202 after the bound":              {History{Ops: []Op{purge("a.1", 1, 7, 202, "b.1"), read("b.1", 8, 6)}, Bound: at(6)}, []Violation{{StaleAfterPurge, 1, 0}}},
		"503 on the instance itself":       {History{Ops: []Op{purge("a.1", 1, 7, 503), read("a.1", 2, 6)}}, []Violation{{StaleAfterPurge, 1, 0}}},
		"503 on another instance":          {History{Ops: []Op{purge("a.1", 1, 7, 503), read("b.1", 2, 6)}, Bound: at(0.1)}, none},
		"read after a write":               {History{Ops: []Op{write("a.1", 1, 7), read("a.1", 2, 6)}}, []Violation{{StaleAfterWrite, 1, 0}}},
		"stale read after a write":         {History{Ops: []Op{write("a.1", 1, 7), stale(read("a.1", 2, 6))}}, []Violation{{StaleAfterWrite, 1, 0}}},
		"read elsewhere after a write":     {History{Ops: []Op{write("a.1", 1, 7), read("b.1", 2, 6)}}, none},
		"read during a write":              {History{Ops: []Op{write("a.1", 1, 7), read("a.1", 1.4, 6)}}, none},
		"write that failed":                {History{Ops: []Op{failed(write("b.1", 8.8, 7), 0), read("b.1", 8.9, 6)}}, none},
		"error of a read":                  {History{Ops: []Op{failed(read("a.1", 1, 0), 502)}}, []Violation{{ErrorByRedis, 0, -1}}},
		"404 of a read":                    {History{Ops: []Op{failed(read("a.1", 1, 0), 404)}}, none},
		"no answer of a live instance":     {History{Ops: []Op{failed(read("a.1", 1, 0), 0)}}, []Violation{{ErrorByRedis, 0, -1}}},
		"no answer of a killed instance":   {History{Ops: []Op{failed(read("b.1", 8.95, 0), 0)}}, none},
		"503 of a write":                   {History{Ops: []Op{failed(write("a.1", 1, 0), 503)}}, []Violation{{ErrorByRedis, 0, -1}}},
		"503 of a write to be queued":      {History{Ops: []Op{behind(1, 1, 503)}}, none},
		"502 of a write to be queued":      {History{Ops: []Op{behind(1, 1, 502)}}, []Violation{{ErrorByRedis, 0, -1}}},
		"500 of a purge":                   {History{Ops: []Op{purge("a.1", 1, 7, 500)}}, []Violation{{ErrorByRedis, 0, -1}}},
		"death of an instance":             {History{Ops: []Op{{Kind: Death, On: "a.1", Start: at(1), Err: "panic"}}}, []Violation{{InstanceDied, 0, -1}}},
		"write lost":                       {History{Ops: []Op{behind(1, 1, 202)}, Drained: true}, []Violation{{WriteLost, 0, -1}}},
		"write still queued":               {History{Ops: []Op{behind(1, 1, 202)}}, none},
		"write applied":                    {History{Ops: []Op{behind(1, 1, 202)}, Drained: true, Arrivals: []Arrival{arrives(2, 1, "k")}}, none},
		"refused write":                    {History{Ops: []Op{behind(1, 1, 503)}, Drained: true}, none},
		"write lost by Redis":              {History{Ops: []Op{behind(1, 1, 202)}, Drained: true, Faults: []Fault{loss(2, 3)}}, none},
		"write lost after Redis' loss":     {History{Ops: []Op{behind(4, 1, 202)}, Drained: true, Faults: []Fault{loss(2, 3)}}, []Violation{{WriteLost, 0, -1}}},
		"write lost by eviction":           {History{Ops: []Op{behind(1, 1, 202)}, Drained: true, Faults: []Fault{{"evict", at(2), at(3), false}}}, []Violation{{WriteLost, 0, -1}}},
		"write twice":                      {History{Ops: []Op{behind(1, 1, 202)}, Arrivals: []Arrival{arrives(2, 1, "k"), arrives(3, 1, "l")}}, []Violation{{WriteDoubled, 0, -1}}},
		"write twice without a key":        {History{Ops: []Op{behind(1, 1, 202)}, Arrivals: []Arrival{arrives(2, 1, ""), arrives(3, 1, "")}}, []Violation{{WriteDoubled, 0, -1}}},
		"write twice with one key":         {History{Ops: []Op{behind(1, 1, 202)}, Arrivals: []Arrival{arrives(2, 1, "k"), arrives(3, 1, "k")}}, none},
		"writes out of order":              {History{Ops: []Op{behind(1, 1, 202), behind(2, 2, 202)}, Arrivals: []Arrival{arrives(3, 2, "l"), arrives(4, 1, "k")}}, []Violation{{WriteUnordered, 1, 0}}},
		"writes out of order after a loss": {History{Ops: []Op{behind(1, 1, 202), behind(3, 2, 202)}, Arrivals: []Arrival{arrives(4, 2, "l"), arrives(5, 1, "k")}, Faults: []Fault{loss(2, 2.5)}}, none},
		"writes out of order, later loss":  {History{Ops: []Op{behind(1, 1, 202), behind(3, 2, 202)}, Arrivals: []Arrival{arrives(4, 2, "l"), arrives(5, 1, "k")}, Faults: []Fault{loss(6, 7)}}, []Violation{{WriteUnordered, 1, 0}}},
		"writes in order":                  {History{Ops: []Op{behind(1, 1, 202), behind(2, 2, 202)}, Arrivals: []Arrival{arrives(3, 1, "k"), arrives(4, 2, "l"), arrives(5, 1, "k")}}, none},
		"writes at one time":               {History{Ops: []Op{behind(1, 1, 202), behind(1.05, 2, 202)}, Arrivals: []Arrival{arrives(3, 2, "l"), arrives(4, 1, "k")}}, none},
	} {
		t.Run(name, func(t *testing.T) {
			c.h.Lives = lives()
			if got := Violations(&c.h); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
