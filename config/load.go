package config

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

const (
	// maxSource bounds the file. Ten thousand routes fit; a disk image given by mistake does not.
	maxSource = 4 << 20
	// maxDepth bounds the nesting. The format needs 8 levels.
	maxDepth = 64
)

// load parses the text into YAML nodes. It returns nil if the text is unreadable.
func load(src []byte, r *report) *yaml.Node {
	if !checkSource(src, r) {
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(src), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
	if err != nil {
		r.add(1, 1, "", problemf("can't start the YAML reader: %v", err))
		return nil
	}
	var doc yaml.Node
	if err := loader.Load(&doc); err != nil {
		r.add(syntaxError(src, err))
		return nil
	}
	var second yaml.Node
	switch err := loader.Load(&second); {
	case err == nil:
		r.add(second.Line, second.Column, "", problemf("a second document begins here").or("a configuration is one YAML document"))
		return nil
	case !errors.Is(err, io.EOF):
		r.add(syntaxError(src, err))
		return nil
	}
	return &doc
}

// checkSource reports bytes that YAML does not allow, since the YAML reader gives no position for
// them.
func checkSource(src []byte, r *report) bool {
	if len(src) > maxSource {
		r.add(1, 1, "", problemf("the file has %d bytes; at most %d are read", len(src), maxSource))
		return false
	}
	line, column := 1, 1
	for i := 0; i < len(src); {
		c, size := utf8.DecodeRune(src[i:])
		switch {
		case c == utf8.RuneError && size == 1:
			r.add(line, column, "", problemf("byte 0x%02x is not UTF-8", src[i]).or("save the file as UTF-8"))
			return false
		case c < ' ' && c != '\t' && c != '\n' && c != '\r', c == 0x7f:
			r.add(line, column, "", problemf("control character 0x%02x", c).or(`write it as "\x%02x" within double quotes`, c))
			return false
		case c == '\n':
			line, column = line+1, 0
		}
		i += size
		column++
	}
	return true
}

// syntaxError returns the position and an explanation of an error of the YAML reader.
func syntaxError(src []byte, err error) (line, column int, path string, p *problem) {
	if errors.Is(err, io.EOF) {
		return 1, 1, "", problemf("the file is empty").or("it needs at least `upstreams` and `routes`")
	}
	var le *yaml.LoadError
	if !errors.As(err, &le) {
		return 1, 1, "", problemf("not YAML: %v", err)
	}
	message := "not YAML: " + le.Message
	if le.ContextMsg != "" {
		message += " " + le.ContextMsg
	}
	mark := le.Mark
	if mark.Line == 0 {
		mark = le.ContextMark
	}
	text := lineOf(src, mark.Line)
	if p := unquoted(le.Message, text); p != nil {
		return mark.Line, mark.Column, "", p
	}
	return mark.Line, mark.Column, "", &problem{message: message, hint: cmp.Or(syntaxHint(text, mark.Column), indentHint(le.Message))}
}

// unquoted explains a value that YAML reads as an alias or an anchor because of its first
// character, as in `host: *.example.com`.
func unquoted(message, text string) *problem {
	for begin, kind := range map[string]string{"*": "an alias", "&": "an anchor"} {
		if !strings.Contains(message, "unknown anchor") && !strings.Contains(message, "scanning "+kind) || begin == "&" && !strings.Contains(message, "scanning") {
			continue
		}
		value := text
		if i := strings.Index(text, begin); i >= 0 {
			value = strings.TrimSpace(text[i:])
		}
		if i := strings.IndexAny(value, ",]}#\t "); i >= 0 {
			value = value[:i]
		}
		return problemf("a value that begins with %s must be quoted", begin).or("write \"%s\"; without quotes it is %s in YAML, and no anchor has this name", clip(value), kind)
	}
	return nil
}

// indentHint explains messages of the YAML reader about lines that begin in the wrong column.
func indentHint(message string) string {
	for _, said := range []string{"did not find expected key", "mapping values are not allowed", "did not find expected '-' indicator", "block sequence entries are not allowed", "could not find expected ':'"} {
		if strings.Contains(message, said) {
			return "the indentation of this line or the one before it is off: keys of one map begin in the same column, and each is followed by a colon and a space"
		}
	}
	return ""
}

// syntaxHint guesses the usual causes.
func syntaxHint(text string, column int) string {
	indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
	switch {
	case strings.Contains(indent, "\t"):
		return "YAML is indented by spaces, not tabs"
	case strings.Contains(text, "${"):
		return `within [] and {} write "${NAME}" in quotes`
	case column > 1 && column <= len(text) && strings.ContainsRune("@`%", rune(text[column-1])):
		return "put the value in quotes"
	}
	return ""
}

// lineOf returns the text of a line, counted from 1.
func lineOf(src []byte, line int) string {
	for ; line > 1; line-- {
		_, rest, ok := bytes.Cut(src, []byte("\n"))
		if !ok {
			return ""
		}
		src = rest
	}
	text, _, _ := bytes.Cut(src, []byte("\n"))
	return string(text)
}
