package config

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

const (
	// maxSource bounds the file: ten thousand routes fit, a disk image given by mistake does not.
	maxSource = 4 << 20
	// maxDepth bounds the nesting. The contract needs 8 levels.
	maxDepth = 64
)

// load reads the text into YAML's own nodes; nil when it can't be read.
func load(src []byte, r *report) *yaml.Node {
	if !checkSource(src, r) {
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(src), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
	if err != nil {
		r.add(1, 1, "", problemf("the YAML reader does not start: %v", err))
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

// checkSource looks for what YAML can't hold, for which the YAML reader gives no position.
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

// syntaxError places and explains what the YAML reader says.
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
	return mark.Line, mark.Column, "", &problem{message: message, hint: syntaxHint(lineOf(src, mark.Line), mark.Column)}
}

// syntaxHint guesses at the usual causes.
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
