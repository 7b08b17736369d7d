package batch

import (
	"net/url"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// fold returns the common form of all spellings of an id: 007 and 7, a UUID in any form, upper and
// lower case, percent-encoded or composed characters. Different ids may have the same common form,
// so it is used only if the origin has shown that it treats them alike.
func fold(id string) string {
	id = strings.TrimSpace(id)
	if plain, err := url.PathUnescape(id); err == nil {
		id = strings.TrimSpace(plain)
	}
	id = strings.ToLower(norm.NFC.String(id))
	if uuid := strings.NewReplacer("-", "", "{", "", "}", "", "urn:uuid:", "").Replace(id); len(uuid) == 32 && strings.Trim(uuid, "0123456789abcdef") == "" {
		return uuid
	}
	return foldNumber(id)
}

// foldNumber returns the canonical form of a decimal number. It works on digits, since the number
// may exceed every numeric type. It returns other ids unchanged.
func foldNumber(id string) string {
	sign, digits := "", strings.TrimPrefix(id, "+")
	if rest, negative := strings.CutPrefix(digits, "-"); negative {
		sign, digits = "-", rest
	}
	whole, part, pointed := strings.Cut(digits, ".")
	if whole == "" || strings.Trim(whole, "0123456789") != "" || pointed && (part == "" || strings.Trim(part, "0123456789") != "") {
		return id
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if part = strings.TrimRight(part, "0"); part != "" {
		whole += "." + part
	}
	if whole == "0" {
		return whole
	}
	return sign + whole
}
