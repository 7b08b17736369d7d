package config

import (
	"regexp"
	"strings"

	"github.com/penstock/penstock/proxy/rawjson"
	"github.com/penstock/penstock/proxy/urltemplate"
)

var partNamePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,63}$`)

// readPartName keeps names to one step of a path, and fit for header fields.
func readPartName(s string) (string, *problem) {
	if !partNamePattern.MatchString(s) {
		return "", not("letters, digits, _ and -, at most 64, and no digit in front")
	}
	return s, nil
}

// readPartPath reads the template of a URL.
func readPartPath(s string) (string, *problem) {
	if _, err := urltemplate.Parse(s); err != nil {
		return "", problemf("%q is no path with an optional query: %s", clip(s), err)
	}
	return s, nil
}

// readPath reads a path into JSON.
func readPath(s string) (string, *problem) {
	if _, err := rawjson.ParsePath(s); err != nil {
		return "", problemf("%q leads nowhere: %s", clip(s), err).or("such as data.items or orders.#.item_id")
	}
	return s, nil
}

// readParameter reads the name of a query parameter.
func readParameter(s string) (string, *problem) {
	if len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("&=#+%?", r) }) {
		return "", not("visible ASCII without & = # + % ?")
	}
	return s, nil
}
