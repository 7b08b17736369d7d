package stats

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// dash stands for an unknown figure.
const dash = "-"

func percent(r *float64) string {
	if r == nil {
		return dash
	}
	if *r >= 0.9995 && *r <= 1 || *r == 0 {
		return fmt.Sprintf("%.0f%%", 100**r)
	}
	return fmt.Sprintf("%.1f%%", 100**r)
}

// latency formats a number of milliseconds.
func latency(ms *float64) string {
	switch {
	case ms == nil:
		return dash
	case *ms < 1:
		return fmt.Sprintf("%.0fµs", *ms*1000)
	case *ms < 10:
		return fmt.Sprintf("%.1fms", *ms)
	case *ms < 1000:
		return fmt.Sprintf("%.0fms", *ms)
	}
	return fmt.Sprintf("%.1fs", *ms/1000)
}

// count formats a number in about four characters.
func count(n float64) string {
	for _, unit := range []struct {
		from float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e4, "k"}} {
		if n >= unit.from {
			if unit.name == "k" {
				return fmt.Sprintf("%.1fk", n/1e3)
			}
			return fmt.Sprintf("%.2f%s", n/unit.from, unit.name)
		}
	}
	if n == float64(int64(n)) || n >= 100 {
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("%.1f", n)
}

// size formats a number of bytes in decimal units.
func size(n float64) string {
	for _, unit := range []string{"B", "kB", "MB", "GB", "TB"} {
		if n < 1000 || unit == "TB" {
			if unit == "B" || n >= 100 {
				return fmt.Sprintf("%.0f %s", n, unit)
			}
			return fmt.Sprintf("%.1f %s", n, unit)
		}
		n /= 1000
	}
	return ""
}

func since(seconds float64) string {
	d := time.Duration(seconds) * time.Second
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// clean replaces non-printing characters. Names and errors come from outside, and could otherwise
// move the terminal's cursor or do worse.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, s)
}

// fit returns s in exactly width columns. It takes each character for one column wide.
func fit(s string, width int, right bool) string {
	n := utf8.RuneCountInString(s)
	if n > width {
		if width < 1 {
			return ""
		}
		return string([]rune(s)[:width-1]) + "…"
	}
	if right {
		return strings.Repeat(" ", width-n) + s
	}
	return s + strings.Repeat(" ", width-n)
}

// spark draws values as bars of eight heights. If there are more than width values, it leaves out
// the oldest.
func spark(values []float64, width int) string {
	if len(values) > width {
		values = values[len(values)-max(0, width):]
	}
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	var b strings.Builder
	for _, v := range values {
		bar := 0
		if most > 0 {
			bar = int(v / most * 7)
		}
		b.WriteRune([]rune("▁▂▃▄▅▆▇█")[bar])
	}
	return b.String()
}

// wrap breaks text between words into lines of at most width columns. It breaks a longer word inside.
func wrap(text string, width int) (lines []string) {
	line := []rune(nil)
	for _, word := range strings.Fields(text) {
		w := []rune(word)
		if len(line) > 0 && len(line)+1+len(w) > width {
			lines, line = append(lines, string(line)), nil
		}
		if len(line) > 0 {
			line = append(line, ' ')
		}
		for line = append(line, w...); len(line) > width; line = line[width:] {
			lines = append(lines, string(line[:width]))
		}
	}
	return append(lines, string(line))
}
