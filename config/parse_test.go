package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// environment holds the variables to which the files in testdata refer.
func environment(name string) (string, bool) {
	v, ok := map[string]string{
		"TOKEN": "s3cret-token", "EMPTY": "", "NUMBER": "7", "DURATION": "45s", "HOSTILE": "x\nadmin: {address: 0.0.0.0:1}\n- ']}",
		"TARGET": "http://127.0.0.1:7009", "WORD": "certainly-not",
	}[name]
	return v, ok
}

// secrets holds the files to which testdata refers.
func secrets(name string) ([]byte, error) {
	if name == "/run/secrets/token" {
		return []byte("from-a-file\n"), nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func parseFile(t *testing.T, path string) (*Config, error) {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return Parse(filepath.Base(path), src, environment, secrets)
}

func TestGood(t *testing.T) {
	for _, path := range glob(t, "testdata/good/*.yaml") {
		if _, err := parseFile(t, path); err != nil {
			t.Errorf("%s:\n%v", path, err)
		}
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(paths), err)
	}
	return paths
}
