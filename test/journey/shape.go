package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// layered are the packages whose files are to form layers.
var layered = []string{"proxy/cache", "proxy/upstream"}

// printShape prints the figures that need no gateway.
func printShape(ctx context.Context, out io.Writer, root string, pkgs []*pkg) error {
	fmt.Fprintln(out)
	for _, p := range pkgs {
		if p.path == "proxy" {
			fmt.Fprintf(out, "proxy has %d files and imports %d of our packages\n", p.files(), p.ours())
		}
		if !slices.Contains(layered, p.path) {
			continue
		}
		g, err := filesOf(ctx, root, p)
		if err != nil {
			return err
		}
		n := g.arrows()
		share := func(part int) string { return fmt.Sprintf("%d (%.0f %%)", part, 100*float64(part)/float64(max(1, n))) }
		fmt.Fprintf(out, "%s: of %d arrows between files, %s point back up, %s at least, %s are part of a circle\n", p.path, n, share(g.up()), share(g.least()), share(g.tangled()))
	}
	printFiles(out, pkgs)
	return nil
}

// printFiles prints how many product files each package has.
func printFiles(out io.Writer, pkgs []*pkg) {
	total := 0
	fmt.Fprintln(out, "\nproduct files")
	for _, p := range slices.SortedFunc(slices.Values(pkgs), func(a, b *pkg) int { return strings.Compare(a.path, b.path) }) {
		total += p.files()
		fmt.Fprintf(out, "%6d %s\n", p.files(), p.path)
	}
	fmt.Fprintf(out, "%6d in %d packages\n", total, len(pkgs))
}
