package check

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Summary says in one line how much happened.
func (h *History) Summary() string {
	kinds := map[Kind]int{}
	answers := map[int]int{}
	accepted := 0
	for i := range h.Ops {
		op := &h.Ops[i]
		kinds[op.Kind]++
		if op.Kind == Purge {
			answers[op.Status]++
		}
		if op.Policy == Behind && op.Status == 202 {
			accepted++
		}
	}
	return fmt.Sprintf("%d operations (%d reads, %d purges of which 200: %d, 202: %d, 503: %d; %d writes, %d of them accepted into the queue), %d faults, %d instances",
		len(h.Ops), kinds[Read], kinds[Purge], answers[200], answers[202], answers[503], kinds[Write], accepted, len(h.Faults), len(h.Lives))
}

// around is how much of the history is shown on either side of a violation.
const (
	around    = 3 * time.Second
	mostLines = 25
)

// Explain tells of a violation with the history around it: the operations on the same path, and the
// faults.
func (h *History) Explain(v Violation) string {
	op := &h.Ops[v.Op]
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n  %s\n", v.Rule, op)
	from := op.Start
	if v.Because >= 0 {
		because := &h.Ops[v.Because]
		from = because.Start
		fmt.Fprintf(&b, "  because of\n  %s\n", because)
	}
	b.WriteString("  meanwhile\n")
	for _, line := range h.lines(op, from-around, op.End+around) {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	return b.String()
}

// lines are the faults of a time, and the operations that concern the path of op, in their order.
func (h *History) lines(op *Op, from, to time.Duration) (lines []string) {
	type entry struct {
		at   time.Duration
		text string
	}
	var ops, all []entry
	for _, f := range h.Faults {
		if f.Start <= to && f.End >= from {
			all = append(all, entry{f.Start, fmt.Sprintf("%8.3f … %8.3f  %s", f.Start.Seconds(), f.End.Seconds(), f.What)})
		}
	}
	for i := range h.Ops {
		o := &h.Ops[i]
		if (o.Path == op.Path || slices.Contains(o.Paths, op.Path)) && o.Start <= to && o.End >= from {
			ops = append(ops, entry{o.Start, o.String()})
		}
	}
	if extra := len(ops) - mostLines; extra > 0 {
		ops = append(ops[:mostLines/2:mostLines/2], ops[len(ops)-mostLines/2:]...)
	}
	all = append(all, ops...)
	for _, a := range h.Arrivals {
		if a.Path == op.Path && op.Policy == Behind && a.At <= to && a.At >= from {
			all = append(all, entry{a.At, fmt.Sprintf("%8.3f             the origin gets write %d with key %s", a.At.Seconds(), a.Number, a.Key)})
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return int(a.at - b.at) })
	for _, e := range all {
		lines = append(lines, e.text)
	}
	return lines
}

// String is one line.
func (op *Op) String() string {
	s := fmt.Sprintf("%8.3f … %8.3f  %s: %s %s", op.Start.Seconds(), op.End.Seconds(), op.On, op.Kind, op.Path)
	if op.Kind == Write {
		s += fmt.Sprintf(" of %d, %s", op.Number, op.Policy)
	}
	if op.Soft {
		s += "softly "
	}
	s += fmt.Sprintf(" → %d", op.Status)
	if op.Version != 0 {
		s += fmt.Sprintf(", version %d", op.Version)
	}
	if len(op.Missing) > 0 {
		s += fmt.Sprintf(", missing %v", op.Missing)
	}
	return s + " " + op.What + op.Err
}
