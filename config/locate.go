package config

import "strings"

// Locate finds the positions in the configuration for a message whose lines begin with the path of
// a value, as in "upstreams.api.tls.ca: open ca.pem: no such file". It is for mistakes that no
// parser sees, such as a missing file. It returns the remaining lines unchanged.
func Locate(file string, src []byte, env func(string) (string, bool), readFile func(string) ([]byte, error), message string) (placed Errors, rest []string) {
	root := readTree(src, &report{file: file}, newExpander(env, readFile))
	for line := range strings.Lines(message) {
		line = strings.TrimSuffix(line, "\n")
		path, text, _ := strings.Cut(line, ": ")
		if n := root.find(path); n != nil && text != "" {
			placed = append(placed, &Error{file, max(1, n.line), max(1, n.column), path, text, ""})
		} else {
			rest = append(rest, line)
		}
	}
	return inOrderOnce(placed), rest
}

// find returns the node below n with the given path, or nil if there is no such node.
func (n *node) find(path string) *node {
	if n == nil || path == "" {
		return nil
	}
	for _, f := range n.fields {
		if at := f.value.within(path); at != nil {
			return at
		}
	}
	for _, i := range n.items {
		if at := i.within(path); at != nil {
			return at
		}
	}
	return nil
}

// within returns n if it has the given path, or else the node below n that has it.
func (n *node) within(path string) *node {
	own := n.path()
	switch {
	case own == path:
		return n
	case strings.HasPrefix(path, own+".") || strings.HasPrefix(path, own+"["):
		return n.find(path)
	}
	return nil
}
