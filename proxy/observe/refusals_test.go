package observe

import (
	"fmt"
	"testing"
)

func TestRefusals(t *testing.T) {
	f := new(Refusals)
	for _, e := range []*Event{
		{Route: "b", RefusedBy: "allow", Refusal: "denied"}, {Route: "a", RefusedBy: "allow", Refusal: "denied"}, {Route: "a"},
		{Route: "a", RefusedBy: "allow", Refusal: "not_listed"}, {Route: "a", RefusedBy: "allow", Refusal: "denied"},
	} {
		f.Finish(e, nil)
	}
	got := ""
	f.Metrics(func(family Family) {
		for _, p := range family.Points {
			got += fmt.Sprint(p.Labels, p.Value, ";")
		}
	})
	one := func(route, reason string, n float64) string {
		return fmt.Sprint(Labels("route", route, "stage", "allow", "reason", reason), n, ";")
	}
	if want := one("a", "denied", 2) + one("a", "not_listed", 1) + one("b", "denied", 1); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	for i := range 2 * maxRefusals {
		f.Finish(&Event{Route: fmt.Sprint(i), RefusedBy: "allow", Refusal: "denied"}, nil)
	}
	points, sum := 0, 0.0
	f.Metrics(func(family Family) {
		for _, p := range family.Points {
			points++
			sum += p.Value
		}
	})
	if points > maxRefusals+1 || sum != 2*maxRefusals+4 {
		t.Errorf("%d series count %v refusals", points, sum)
	}
}
