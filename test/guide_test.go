package test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The guide names a step as [file](link), followed by declarations of that file in backticks: Name, Type.Method or Type.field.
var (
	guideLink = regexp.MustCompile("\\[([^]]+)\\]\\(([^)]+)\\)((?:(?:,|\\s+and)?\\s+`[^`]+`)*)")
	guideName = regexp.MustCompile("`([^`]+)`")
	goFile    = regexp.MustCompile(`[\w/]+\.go\b`)
)

// TestGuideNamesWhatExists holds proxy/README.md to the code: its links lead to files, it names each Go file by a link, and the declarations that follow
// a link are in that file.
func TestGuideNamesWhatExists(t *testing.T) {
	text, err := os.ReadFile("../proxy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	links := guideLink.FindAllStringSubmatch(string(text), -1)
	if len(links) < 50 {
		t.Errorf("found %d links in the guide: the pattern is wrong", len(links))
	}
	for _, link := range links {
		source, err := os.ReadFile(filepath.Join("../proxy", link[2]))
		if err != nil {
			t.Errorf("the guide links to %s: %v", link[2], err)
		}
		for _, name := range guideName.FindAllStringSubmatch(link[3], -1) {
			if err == nil && !declares(string(source), name[1]) {
				t.Errorf("%s does not declare %s, which the guide names beside it", link[2], name[1])
			}
		}
	}
	for _, file := range goFile.FindAllString(guideLink.ReplaceAllString(string(text), ""), -1) {
		t.Errorf("the guide names %s without a link to it", file)
	}
}

// declares reports whether a Go file declares a function, a type, or a method or field of a type.
func declares(source, name string) bool {
	owner, member, ok := strings.Cut(name, ".")
	if !ok {
		return regexp.MustCompile(`(?m)^(func|type) ` + name + `\b`).MatchString(source)
	}
	method := regexp.MustCompile(`(?m)^func \((\w+ )?\*?` + owner + `(\[[^\]]*\])?\) ` + member + `\(`)
	field := regexp.MustCompile(`(?m)^type ` + owner + `\b[^{]*\{\n(.*\n)*?\t(\w+, )*` + member + `\b`)
	return method.MatchString(source) || field.MatchString(source)
}
