package cachepolicy

import "strings"

// strongMatch compares two entity tags strongly (RFC 9110 §8.8.3.2): both must be valid and neither
// may be weak.
func strongMatch(a, b string) bool { return isStrong(a) && a == b }

// isStrong reports whether tag is a valid entity-tag that is not weak (RFC 9110 §8.8.3).
func isStrong(tag string) bool {
	if len(tag) < 2 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		return false
	}
	for i := 1; i < len(tag)-1; i++ {
		if c := tag[i]; c < 0x21 || c == '"' || c == 0x7f {
			return false
		}
	}
	return true
}

// weakMatch compares two entity tags weakly (RFC 9110 §8.8.3.2). Some origins and clients forget
// the quotes or write the weakness flag in lower case. weakMatch compares their tags by the only
// meaning that they can have.
func weakMatch(a, b string) bool {
	a, b = opaque(a), opaque(b)
	return a != "" && a == b
}

// opaque returns the part of an entity tag that weak comparison uses. It keeps the quotes of an
// empty tag, so that an empty tag differs from a missing one.
func opaque(tag string) string {
	if len(tag) >= 2 && (tag[0] == 'W' || tag[0] == 'w') && tag[1] == '/' {
		tag = tag[2:]
	}
	if len(tag) > 2 && tag[0] == '"' && tag[len(tag)-1] == '"' {
		tag = tag[1 : len(tag)-1]
	}
	return tag
}

// nextTag cuts the first member off a list of entity tags. A comma inside quotes belongs to the tag
// (RFC 9110 §8.8.3). If the closing quote is missing, the tag ends at the next comma. An empty tag
// means the end of the list.
func nextTag(list string) (tag, rest string) {
	list = strings.TrimLeft(list, " \t,")
	if list == "" {
		return "", ""
	}
	open := 0
	if list[0] == 'W' || list[0] == 'w' {
		open = len(list) - len(strings.TrimLeft(list[1:], `/\`))
	}
	if open < len(list) && list[open] == '"' {
		if n := strings.IndexByte(list[open+1:], '"'); n >= 0 {
			end := open + n + 2
			return list[:end], list[end:]
		}
	}
	tag, rest, _ = strings.Cut(list, ",")
	return trimOWS(tag), rest
}

// anyTag reports whether a list field holds "*" or a tag that matches the stored one. The caller
// has a stored response, so "*" always matches.
func anyTag(lines []string, stored string, match func(a, b string) bool) bool {
	for _, line := range lines {
		if trimOWS(line) == "*" {
			return true
		}
		for tag, rest := nextTag(line); tag != ""; tag, rest = nextTag(rest) {
			if match(tag, stored) {
				return true
			}
		}
	}
	return false
}
