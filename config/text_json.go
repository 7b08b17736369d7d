package config

import (
	"regexp"
	"strings"
)

var partName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$`)

// readPart keeps the names of parts fit for a response field and for {part.field}.
func readPart(s string) (string, *problem) {
	if !partName.MatchString(s) {
		return "", not("letters, digits, `_` and `-`, at most 64")
	}
	if s == "query" {
		return "", problemf("{query.name} is a parameter of the client's query").or("give the part another name")
	}
	return s, nil
}

// readPartPath reads a path with an optional query and references within braces.
func readPartPath(s string) (string, *problem) {
	if !strings.HasPrefix(s, "/") {
		return "", not("it begins with /")
	}
	fixed := templateVariable.ReplaceAllString(s, "x")
	if strings.ContainsAny(fixed, "{}") {
		return "", not("what is filled in is written {name}, {part.field} or {}")
	}
	path, query, _ := strings.Cut(fixed, "?")
	if p := checkFixed(path); p != nil {
		return s, p
	}
	if strings.ContainsFunc(query, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }) {
		return "", not("a query has visible ASCII characters, others are percent-encoded")
	}
	return s, nil
}

var jsonStep = regexp.MustCompile(`^[^\x00-\x20\x7f{}"\\]+$`)

// readJSONPath reads names, numbers and # between dots.
func readJSONPath(s string) (string, *problem) {
	if s == "" {
		return "", nil
	}
	steps := strings.Split(s, ".")
	for _, step := range steps {
		if !jsonStep.MatchString(step) || len(steps) > 32 {
			return "", not("such as user.id, items.0 or orders.#.item_id")
		}
	}
	return s, nil
}
