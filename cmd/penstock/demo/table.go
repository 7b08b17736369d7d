package demo

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// printTable prints the rows, each with the figures before and after.
func printTable(out io.Writer, rows []Row) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LEVER\tMEDIAN\tP99\tORIGIN CALLS\tBYTES\tCOST OF 1 M\tANSWERED\tCLAIM")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Lever,
			change(duration(r.Before.Median), duration(r.After.Median)),
			change(duration(r.Before.P99), duration(r.After.P99)),
			change(fmt.Sprint(r.Before.Calls), fmt.Sprint(r.After.Calls)),
			change(size(r.Before.Bytes), size(r.After.Bytes)),
			change(million(r.Before), million(r.After)),
			change(share(r.Before), share(r.After)),
			verdict(r))
	}
	return w.Flush()
}

func change(before, after string) string {
	if before == after {
		return after
	}
	return before + " → " + after
}

func verdict(r Row) string {
	if r.Met {
		return "met: " + r.Claim
	}
	return "NOT MET: " + r.Claim
}

func share(s Sample) string { return fmt.Sprintf("%d/%d", s.Answered, s.Asked) }

// duration formats d with about three digits, or as a dash if no request was answered.
func duration(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}

func size(n int64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d B", n)
	case n < 10_000_000:
		return fmt.Sprintf("%d kB", n/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
