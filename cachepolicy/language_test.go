package cachepolicy

import "testing"

func TestParseWeight(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int
		ok   bool
	}{
		{"1", 1000, true}, {"0", 0, true}, {"0.5", 500, true}, {"0.05", 50, true}, {"0.005", 5, true}, {"0.123", 123, true}, {"1.000", 1000, true}, {"1.", 1000, true}, {"0.", 0, true},
		{"1.001", 0, false}, {"2", 0, false}, {"0.1234", 0, false}, {"", 0, false}, {".5", 0, false}, {"-0", 0, false}, {"0,5", 0, false}, {"0.5x", 0, false}, {"0.x", 0, false},
	} {
		if got, ok := parseWeight(c.in); ok != c.ok || ok && got != c.want {
			t.Errorf("parseWeight(%q) = %d, %v", c.in, got, ok)
		}
	}
}

func TestPreferredLanguage(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  string
		ok    bool
	}{
		{[]string{"de"}, "de", true},
		{[]string{"de, en;q=0.9"}, "de", true},
		{[]string{"en;q=0.9, de"}, "de", true},
		{[]string{"en;q=0.1", "de;q=0.2"}, "de", true},
		{[]string{"en, de, fr;q=0.1"}, "", false},
		{[]string{"de;q=0.5, en;q=0.5, fr"}, "fr", true},
		{[]string{"*, de;q=0.5"}, "", false},
		{[]string{"de;q=0"}, "", false},
		{[]string{""}, "", false},
		{[]string{"de;x"}, "", false},
		{nil, "", false},
	} {
		got, ok := preferredLanguage(c.lines)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("preferredLanguage(%q) = %q, %v", c.lines, got, ok)
		}
	}
}
