package route

import "strings"

// CutParam cuts a path pattern around its first parameter in braces. It returns the text before the
// parameter, the parameter's name and expression (id or id:[0-9]+), and the text behind it. ok is
// false if the pattern has no parameter.
func CutParam(pattern string) (before, param, after string, ok bool) {
	before, rest, ok := strings.Cut(pattern, "{")
	if !ok {
		return pattern, "", "", false
	}
	end := closing(rest)
	return before, rest[:end], rest[min(end+1, len(rest)):], true
}

// closing returns the index in s of the brace that closes the one before s, or len(s) if s does not
// close it.
func closing(s string) int {
	depth := 1
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth == 0 {
			return i
		}
	}
	return len(s)
}

// ParamNames returns the names that a path pattern captures. The rest of the path has the name *.
func ParamNames(pattern string) (names []string) {
	for rest := pattern; ; {
		_, param, after, ok := CutParam(rest)
		if !ok {
			break
		}
		name, _, _ := strings.Cut(param, ":")
		names, rest = append(names, name), after
	}
	if strings.HasSuffix(pattern, "*") {
		names = append(names, "*")
	}
	return names
}

// Fill returns the path from which the pattern captured these values.
func Fill(pattern string, captured map[string]string) string {
	var b strings.Builder
	for rest := pattern; ; {
		before, param, after, ok := CutParam(rest)
		if !ok {
			if before, ok := strings.CutSuffix(rest, "*"); ok {
				rest = before + captured["*"]
			}
			b.WriteString(rest)
			return b.String()
		}
		b.WriteString(before)
		name, _, _ := strings.Cut(param, ":")
		b.WriteString(captured[name])
		rest = after
	}
}
