package hostile

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeExplainsEveryAttack looks for the letters of attacks in the names of all tests. A stranger must be able to look each of them up.
func TestReadmeExplainsEveryAttack(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`func Test([FKR][0-9]+)(?:[A-Z_(]|[a-z])`)
	seen := 0
	err = filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			seen++
			if !strings.Contains(string(readme), "\n| "+m[1]+" |") {
				t.Errorf("%s: a test is named after %s, which README.md does not explain", path, m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen == 0 {
		t.Error("no test is named after an attack: the test looks for the wrong thing")
	}
}
