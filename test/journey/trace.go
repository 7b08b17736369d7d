package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// repeats is how often each journey is recorded.
const repeats = 7

// trace is what ran during a journey.
type trace struct {
	name  string
	calls map[int]int // by mark
}

// traceAll builds the instrumented gateway in dir, runs it and records each journey.
func traceAll(ctx context.Context, root, dir string, pkgs []*pkg) ([]trace, []mark, error) {
	tree := filepath.Join(dir, "tree")
	marks, err := instrument(root, tree, pkgs)
	if err != nil {
		return nil, nil, err
	}
	binary := filepath.Join(dir, "penstock")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-w", "-o", binary, "./cmd/penstock")
	cmd.Dir, cmd.Stderr = tree, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, nil, fmt.Errorf("build the instrumented copy: %w", err)
	}
	g, err := start(ctx, binary, dir)
	if err != nil {
		return nil, nil, err
	}
	defer g.stop()
	var traces []trace
	for _, j := range journeys {
		t, err := g.record(j)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", j.name, err)
		}
		traces = append(traces, t)
	}
	return traces, marks, nil
}

// record takes a journey several times, each on a recording of its own, and returns what the
// recordings have in common: a function belongs to the journey if it ran in each of them, and ran
// as often as in the median recording. Work in the background runs in some of them alone.
func (g *gateway) record(j journey) (trace, error) {
	counts := map[int][]int{}
	for i := range warmups + repeats {
		if j.prepare != nil {
			if err := j.prepare(g, i); err != nil {
				return trace{}, err
			}
			g.settle()
		}
		if _, err := g.control.ask("start"); err != nil {
			return trace{}, err
		}
		if err := j.take(g, i); err != nil {
			return trace{}, err
		}
		g.settle()
		calls, err := g.control.ask("stop")
		if err != nil {
			return trace{}, err
		}
		if i < warmups {
			continue
		}
		for id, n := range calls {
			counts[id] = append(counts[id], n)
		}
	}
	t := trace{name: j.name, calls: map[int]int{}}
	for id, all := range counts {
		if len(all) == repeats {
			slices.Sort(all)
			t.calls[id] = all[repeats/2]
		}
	}
	return t, nil
}

// warmups is how often a journey is taken before it is recorded.
const warmups = 3

const (
	quietFor  = 30 * time.Millisecond
	quietWait = time.Second
)

// settle waits until no marked function has run for a while: a fill goes on when its client has the
// response.
func (g *gateway) settle() {
	last, since := -1, time.Now()
	for end := time.Now().Add(quietWait); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		seen, err := g.control.ask("seen")
		switch {
		case err != nil:
			return
		case seen[0] != last:
			last, since = seen[0], time.Now()
		case time.Since(since) >= quietFor:
			return
		}
	}
}
