package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// TestUnknownCommandHints misspells commands and uses the command names of other programs.
func TestUnknownCommandHints(t *testing.T) {
	for word, want := range map[string]string{
		"chekc": "penstock check?", "rnu": "penstock run?", "purges": "penstock purge?", "explian": "penstock explain?", "validate": "penstock check?",
		"serve": "penstock run?", "--version": "penstock version?", "-t": "penstock check?", "xyzzyxyzzy": "penstock help lists them",
	} {
		var out, err bytes.Buffer
		code := run(context.Background(), []string{word}, func(string) (string, bool) { return "", false }, &out, &err)
		if code != exitUsage || !strings.Contains(err.String(), want) {
			t.Errorf("%s: %d %s", word, code, err.String())
		}
	}
}
