// Journey measures how far a request travels through the product code. It builds the gateway from
// an instrumented copy of the tree, in which each function counts its calls, and traces single
// requests. It also prints figures of the tree's shape, for which nothing runs. It changes nothing
// in the tree.
//
//	go run ./test/journey [-root DIR] [-list JOURNEY]
//
// # Journeys
//
// For each journey it prints how many different functions ran, the files that they stand in, and
// how often each step of steps.go ran. A journey is recorded seven times after three unrecorded
// ones. A recording begins before the request and ends when no marked function has run for 30 ms,
// so that a fill which goes on after the response counts. A function counts only if it ran in all
// seven recordings, which leaves background work on timers out. The steps show the median. A
// function literal counts as part of the function that it stands in only while that one runs: it
// has no mark of its own.
//
// # Shape
//
// An arrow leads from a file to each other file of its package that declares something it uses: a
// type, function, method, field, constant or variable. The entrance is the files that no other file
// uses; if they do not lead to all files, the file that uses the most others, less those that use
// it, joins the entrance. A file's layer is its distance from the entrance. An arrow points back up
// if it leads to a higher layer than its own: a reader who comes in through the entrance has to go
// back. The figure depends on the entrance. The other two do not: "at least" is the number of
// arrows that point up in the best order of all files that was found, and an arrow is part of a
// circle if a way leads back from its end to its beginning.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	root := flag.String("root", ".", "the repository to measure")
	list := flag.String("list", "", "print each function of this journey too")
	flag.Parse()
	if err := run(ctx, *root, *list, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "journey:", err)
		os.Exit(1)
	}
}

// run measures the tree at root and prints the figures to out.
func run(ctx context.Context, root, list string, out io.Writer) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	pkgs, err := product(ctx, root)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "journey")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	traces, marks, err := traceAll(ctx, root, dir, pkgs)
	if err != nil {
		return err
	}
	printJourneys(out, traces, marks)
	if list != "" {
		printFunctions(out, traces, marks, list)
	}
	return printShape(ctx, out, root, pkgs)
}

// printJourneys prints a row for each journey.
func printJourneys(out io.Writer, traces []trace, marks []mark) {
	fmt.Fprintf(out, "%-22s %9s %6s", "journey", "functions", "files")
	for _, s := range steps {
		fmt.Fprintf(out, " %*s", len(s.name), s.name)
	}
	fmt.Fprintln(out)
	for _, t := range traces {
		files := map[string]bool{}
		for id := range t.calls {
			files[marks[id].file] = true
		}
		fmt.Fprintf(out, "%-22s %9d %6d", t.name, len(t.calls), len(files))
		for _, s := range steps {
			fmt.Fprintf(out, " %*d", len(s.name), s.count(t.calls, marks))
		}
		fmt.Fprintln(out)
	}
	for _, s := range steps {
		if !s.exists(marks) {
			fmt.Fprintf(out, "step %q names no function of this tree; edit steps.go\n", s.name)
		}
	}
}

// printFunctions prints each function of one journey with its file and the number of its calls.
func printFunctions(out io.Writer, traces []trace, marks []mark, journey string) {
	for _, t := range traces {
		if t.name != journey {
			continue
		}
		var lines []string
		for id, n := range t.calls {
			lines = append(lines, fmt.Sprintf("%-40s %-60s %d", marks[id].file, marks[id].function, n))
		}
		slices.Sort(lines)
		fmt.Fprintf(out, "\n%s:\n%s\n", t.name, strings.Join(lines, "\n"))
	}
}
