package config

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// want is a mistake that a file in testdata/bad announces: `# want LINE:COLUMN substring`.
var want = regexp.MustCompile(`^ want ([0-9]+:[0-9]+) (.+?)\s*$`)

// TestBad compares the mistakes found in each file with the announced ones. Both must be the same
// set.
func TestBad(t *testing.T) {
	for _, path := range glob(t, "testdata/bad/*.yaml") {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = parseFile(t, path)
		var got Errors
		if !errors.As(err, &got) {
			t.Errorf("%s: accepted (%v)", path, err)
			continue
		}
		checkWants(t, path, wants(string(src)), got)
	}
}

// wants collects the announced mistakes of a file as position and text.
func wants(src string) [][2]string {
	var out [][2]string
	for line := range strings.Lines(src) {
		for _, comment := range strings.Split(line, "#")[1:] {
			if m := want.FindStringSubmatch(comment); m != nil {
				out = append(out, [2]string{m[1], m[2]})
			}
		}
	}
	return out
}

func checkWants(t *testing.T, path string, want [][2]string, got Errors) {
	t.Helper()
	for i, e := range got {
		place := fmt.Sprintf("%d:%d", e.Line, e.Column)
		if i >= len(want) || want[i][0] != place || !strings.Contains(e.Error(), want[i][1]) {
			t.Errorf("%s: not announced, or not here:\n\t%v", path, e)
		}
	}
	if len(got) < len(want) {
		t.Errorf("%s: %d mistakes found, %d announced", path, len(got), len(want))
	}
}
