package config

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPrintGood(t *testing.T) {
	for _, path := range append(glob(t, "testdata/good/*.yaml"), "../gateway.yaml") {
		c, err := parseFile(t, path)
		if err != nil {
			t.Fatal(err)
		}
		checkPrint(t, c)
	}
}

// checkPrint requires that Parse of Print(c) returns an equal c.
func checkPrint(t interface {
	Helper()
	Fatalf(string, ...any)
}, c *Config) {
	t.Helper()
	text, err := Print(c)
	if err != nil {
		t.Fatalf("Print: %v", err)
	}
	again, err := Parse("printed.yaml", text, nil, nil)
	if err != nil {
		t.Fatalf("Parse(Print(c)): %v\n%s", err, text)
	}
	if diff := cmp.Diff(c, again, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Fatalf("Parse(Print(c)) is not c (-c +again):\n%s\n%s", diff, text)
	}
}
