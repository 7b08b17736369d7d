package config

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// plainNode returns a scalar as written without quotes.
func plainNode(text string) *node { return &node{text: text, source: text, plain: true} }

func TestDurations(t *testing.T) {
	tests := map[string]time.Duration{
		"0": 0, "0s": 0, "250ms": 250 * time.Millisecond, "30s": 30 * time.Second, "10m": 10 * time.Minute, "1h30m": 90 * time.Minute,
		"1d": 24 * time.Hour, "7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "0.5d": 12 * time.Hour, "1.5s": 1500 * time.Millisecond,
		"365d": 8760 * time.Hour, "100us": 100 * time.Microsecond, "1d1ns": 24*time.Hour + 1,
	}
	for text, want := range tests {
		if got, p := readDuration(plainNode(text)); p != nil || got != want {
			t.Errorf("%s: %v, %+v; want %v", text, got, p, want)
		}
	}
	for _, text := range []string{
		"", "5", "-1s", "+1s", "1", "1.5", "d", "1s1d", "1 s", "s", ".5s", "1e3s", "1d ", "∞", "53376d", "2562048h", "99999999999999999999s",
	} {
		if got, p := readDuration(plainNode(text)); p == nil {
			t.Errorf("%q: accepted as %v", text, got)
		}
	}
}

func TestSizes(t *testing.T) {
	tests := map[string]int64{
		"0": 0, "1": 1, "512": 512, "512B": 512, "512KiB": 512 << 10, "8MiB": 8 << 20, "8 MiB": 8 << 20, "2GiB": 2 << 30, "3TiB": 3 << 40, "9223372036854775807": 1<<63 - 1,
	}
	for text, want := range tests {
		if got, p := readSize(plainNode(text)); p != nil || got != want {
			t.Errorf("%s: %v, %+v; want %d", text, got, p, want)
		}
	}
	for text, hint := range map[string]string{
		"": "", "-1": "", "1.5MiB": "", "8MB": "write 8MiB", "8m": "write 8MiB", "1kb": "write 1KiB", "2G": "write 2GiB", "1t": "write 1TiB", "5 apples": "units: KiB, MiB, GiB, TiB",
		"9223372036854775808": "", "8388608TiB": "", "MiB": "",
	} {
		if got, p := readSize(plainNode(text)); p == nil || hint != "" && p.hint != hint {
			t.Errorf("%q: %v, %+v; want hint %q", text, got, p, hint)
		}
	}
}

func TestShares(t *testing.T) {
	for text, want := range map[string]float64{"0%": 0, "7%": 0.07, "20%": 0.2, "12.5%": 0.125, "100%": 1, "0.1%": 0.001} {
		if got, p := readShare(plainNode(text)); p != nil || got != want {
			t.Errorf("%s: %v, %+v; want %v", text, got, p, want)
		}
	}
	for _, text := range []string{"", "%", "20", "0.2", "-5%", "100.1%", "1e1%", "NaN%", "20 %", "20%%"} {
		if got, p := readShare(plainNode(text)); p == nil {
			t.Errorf("%q: accepted as %v", text, got)
		}
	}
}

// TestQuantitiesRoundTrip checks that reading a printed quantity returns the same number.
func TestQuantitiesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, 1<<61).Draw(t, "duration"))
		if got, p := readDuration(plainNode(printDuration(d))); p != nil || got != d {
			t.Fatalf("%v is printed %s and read %v, %+v", d, printDuration(d), got, p)
		}
		size := rapid.Int64Range(0, 1<<62).Draw(t, "size")
		if got, p := readSize(plainNode(printSize(size))); p != nil || got != size {
			t.Fatalf("%d is printed %s and read %v, %+v", size, printSize(size), got, p)
		}
		share := rapid.Float64Range(0, 1).Draw(t, "share")
		if got, p := readShare(plainNode(printShare(share))); p != nil || got != share {
			t.Fatalf("%v is printed %s and read %v, %+v", share, printShare(share), got, p)
		}
	})
}

func TestNearest(t *testing.T) {
	words := []string{"timeouts", "targets", "balance", "header_bytes", "max_object"}
	for word, want := range map[string]string{
		"timeout": "timeouts", "tragets": "targets", "Balance": "balance", "headerBytes": "header_bytes", "max-object": "max_object",
		"blanace": "balance", "xyz": "", "b": "", "": "", "telemetry": "",
	} {
		if got := nearest(word, words); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "ab", 2}, {"ab", "", 2}, {"ab", "ab", 0}, {"ab", "ba", 1}, {"abc", "axc", 1}, {"abc", "acbd", 2}, {"kitten", "sitting", 3}} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("%q to %q: %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestPatternShapes(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"/x/{id}", "/x/{name}", true},
		{"/x/{id:[0-9]+}", "/x/{name:[0-9]+}", true},
		{"/x/{id:[0-9]+}", "/x/{id}", false},
		{"/x/*", "/x/", false},
		{"/x/{id}", "/x/id", false},
		{"/x/{a}.{b}", "/x/{c}.{d}", true},
	} {
		if _, p := readPattern(tt.a); p != nil {
			t.Errorf("%s: %+v", tt.a, p)
		}
		if got := shapeOf(tt.a) == shapeOf(tt.b); got != tt.same {
			t.Errorf("%s and %s: same is %v", tt.a, tt.b, got)
		}
	}
}
