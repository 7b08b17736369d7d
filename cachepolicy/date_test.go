package cachepolicy

import (
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseDate(t *testing.T) {
	runTable(t, "date.table", 1, func(in []string) string {
		date, ok := parseDate(in[0], t0)
		if !ok {
			return "invalid"
		}
		return date.Format(time.RFC3339)
	})
}

// TestParseDateProperties checks that parseDate reads each date that the standard library writes in
// the three formats, and returns the same time.
func TestParseDateProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := time.Unix(rapid.Int64Range(0, 253402300799).Draw(t, "seconds"), 0).UTC()
		formats := []string{http.TimeFormat, time.ANSIC}
		if want.After(t0.AddDate(-49, 0, 0)) && want.Before(t0.AddDate(50, 0, 0)) {
			formats = append(formats, "Monday, 02-Jan-06 15:04:05 GMT")
		}
		s := want.Format(rapid.SampledFrom(formats).Draw(t, "format"))
		if got, ok := parseDate(s, t0); !ok || !got.Equal(want) {
			t.Fatalf("%s: %v %v", s, got, ok)
		}
	})
}

func FuzzParseDate(f *testing.F) {
	for _, seed := range []string{"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "0", ",", "Sun,"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseDate(s, t0)
		if !ok {
			return
		}
		if got.Location() != time.UTC || got.Nanosecond() != 0 || got.Year() < 0 || got.Year() > 10000 {
			t.Errorf("%q: %v", s, got)
		}
		again, ok := parseDate(got.Format(http.TimeFormat), t0)
		if got.Year() < 10000 && (!ok || !again.Equal(got)) {
			t.Errorf("%q is %v, which is read as %v", s, got, again)
		}
	})
}
