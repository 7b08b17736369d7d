package config

import (
	"regexp"
	"strings"
)

var partName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$`)

// readPart restricts the names of parts to characters that fit into a response field and into
// {part.field}.
func readPart(s string) (string, *problem) {
	if !partName.MatchString(s) {
		return "", not("letters, digits, `_` and `-`, at most 64")
	}
	if s == "query" {
		return "", problemf("{query.name} is a parameter of the client's query").or("give the part another name")
	}
	return s, nil
}

// readPartPath reads a path with an optional query and with references in braces.
func readPartPath(s string) (string, *problem) {
	if !strings.HasPrefix(s, "/") {
		return "", not("it must begin with /")
	}
	fixed := templateVariable.ReplaceAllString(s, "x")
	if strings.ContainsAny(fixed, "{}") {
		return "", not("write a placeholder as {name}, {part.field} or {}")
	}
	path, query, _ := strings.Cut(fixed, "?")
	if p := checkFixed(path); p != nil {
		return s, p
	}
	if strings.ContainsFunc(query, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }) {
		return "", not("a query may contain only visible ASCII characters; percent-encode the others")
	}
	return s, nil
}

var jsonStep = regexp.MustCompile(`^[^\x00-\x20\x7f{}"\\]+$`)

// readJSONPath reads names, numbers and # separated by dots.
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
