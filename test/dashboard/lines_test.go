package dashboard

import (
	"bufio"
	"io"
	"iter"
)

// lines are those of r as they come.
func lines(r io.Reader) iter.Seq[string] {
	return func(yield func(string) bool) {
		for s := bufio.NewScanner(r); s.Scan(); {
			if !yield(s.Text()) {
				return
			}
		}
	}
}
