package config

import "strings"

// Nearest returns the known word that a misspelt one most likely means, or "" if none is close.
func Nearest(word string, known []string) string { return nearest(word, known) }

// nearest returns the known word that word most likely means, or "" if none is close.
func nearest(word string, known []string) string {
	best, bound := "", max(1, len(word)/3)+1
	if len(word) < 3 || len(word) > maxLabel { // with two letters, one wrong letter is no evidence
		return ""
	}
	for _, k := range known {
		if d := distance(strings.ToLower(word), k); d < bound {
			best, bound = k, d
		}
	}
	return best
}

// distance returns how many letters must be inserted, removed, replaced or swapped with their
// neighbour to turn a into b.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// suggestion returns the hint for an unknown word.
func suggestion(word string, known []string) string {
	if k := nearest(word, known); k != "" {
		return "did you mean `" + k + "`?"
	}
	return "known here: " + strings.Join(known, ", ")
}
