package main

import (
	"io"
	"log"
	"log/slog"
	"strings"
	"testing"
)

func TestStdLogDropsQuotedBytes(t *testing.T) {
	before, flags := log.Writer(), log.Flags()
	defer func() {
		log.SetOutput(before)
		log.SetFlags(flags)
	}()
	log.SetOutput(io.Discard)
	var out text
	restore := captureStdLog(slog.New(slog.NewTextHandler(&out, nil)))
	log.Printf("Unsolicited response received on idle HTTP channel starting with %q; err=%v", "secret body", nil)
	log.Print("plain words")
	restore()
	log.Print("later")

	got := out.String()
	for _, want := range []string{`level=WARN msg="Unsolicited response received on idle HTTP channel"`, `msg="plain words"`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	for _, not := range []string{"secret", "later"} {
		if strings.Contains(got, not) {
			t.Errorf("%q in\n%s", not, got)
		}
	}
}
