package stats

import (
	"strings"
	"unicode/utf8"
)

// style is the appearance of a text, as the parameters of an SGR sequence; "" is plain.
type style string

const (
	plain  style = ""
	bold   style = "1"
	faint  style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

// cell is a text of a table.
type cell struct {
	text  string
	style style
}

// table is a heading and rows. Its first column is aligned to the left, the others to the right.
type table struct {
	heading []string
	rows    [][]cell
}

// screen collects lines for a terminal.
type screen struct {
	width  int
	colour bool
	lines  []string
}

// paint returns text in a style, if colours are on.
func (s *screen) paint(text string, st style) string {
	if !s.colour || st == plain || text == "" {
		return text
	}
	return "\x1b[" + string(st) + "m" + text + "\x1b[0m"
}

func (s *screen) line(text string) { s.lines = append(s.lines, text) }

// put adds a table of at most the given number of rows and of as many columns as fit. If rows are
// left out, the last line says how many.
func (s *screen) put(t *table, rows int) {
	widths := make([]int, len(t.heading))
	for i, h := range t.heading {
		widths[i] = utf8.RuneCountInString(h)
		for _, r := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(r[i].text))
		}
	}
	widths[0] = min(max(widths[0], 8), max(8, s.width/3))
	columns, used := 1, widths[0]
	for columns < len(widths) && used+2+widths[columns] <= s.width {
		used += 2 + widths[columns]
		columns++
	}
	var heading strings.Builder
	for i, h := range t.heading[:columns] {
		if i > 0 {
			heading.WriteString("  ")
		}
		heading.WriteString(fit(h, widths[i], i > 0))
	}
	s.line(s.paint(heading.String(), faint))
	for n, r := range t.rows {
		if n == rows {
			s.line(s.paint("… "+count(float64(len(t.rows)-n))+" more", faint))
			break
		}
		var b strings.Builder
		for i, c := range r[:columns] {
			if i > 0 {
				b.WriteString("  ")
			}
			b.WriteString(s.paint(fit(clean(c.text), widths[i], i > 0), c.style))
		}
		s.line(b.String())
	}
}
