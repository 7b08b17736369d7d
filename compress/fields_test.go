package compress

import (
	"net/http"
	"slices"
	"testing"
)

func TestParseCoding(t *testing.T) {
	for token, want := range map[string]Coding{
		"identity": Identity, "gzip": Gzip, "GZip": Gzip, "x-gzip": Gzip, "X-GZIP": Gzip, "br": Brotli, "BR": Brotli,
		"zstd": Zstd, "": Unknown, "deflate": Unknown, "unknown": Unknown, "dcz": Unknown, " gzip": Unknown, "*": Unknown,
	} {
		if got := ParseCoding(token); got != want {
			t.Errorf("ParseCoding(%q) = %v, want %v", token, got, want)
		}
	}
	for c := Identity; c < Unknown; c++ {
		if ParseCoding(c.String()) != c {
			t.Errorf("ParseCoding does not read %v", c)
		}
	}
	if Coding(77).String() != "unknown" {
		t.Error("a coding that is none has a name")
	}
}

func TestCodingOf(t *testing.T) {
	for value, want := range map[string]Coding{
		"": Identity, "identity": Identity, " , ": Identity, "gzip": Gzip, " x-gzip ": Gzip, "br": Brotli, "zstd": Zstd,
		"identity, gzip": Gzip, "gzip, identity": Gzip, ",gzip,": Gzip, "deflate": Unknown, "gzip, br": Unknown,
		"gzip, gzip": Unknown, "deflate, gzip": Unknown, "gzip, deflate": Unknown, "gzip;q=1": Unknown, "gzip br": Unknown,
	} {
		if got := CodingOf(value); got != want {
			t.Errorf("CodingOf(%q) = %v, want %v", value, got, want)
		}
	}
}

func TestHeaderCoding(t *testing.T) {
	const name = "Content-Encoding"
	tests := []struct {
		h    http.Header
		want Coding
	}{
		{header(), Identity},
		{header(name, "gzip"), Gzip},
		{header(name, "gzip", name, "br"), Unknown},
		{header(name, "", name, "br"), Brotli},
	}
	for _, tt := range tests {
		if got := HeaderCoding(tt.h); got != tt.want {
			t.Errorf("HeaderCoding(%v) = %v, want %v", tt.h, got, tt.want)
		}
	}
}

func TestSet(t *testing.T) {
	var s Set
	s.Add(Gzip)
	if s.With(Zstd) != SetOf(Zstd, Gzip) || s != SetOf(Gzip) {
		t.Error("With changes the set that it is called on, or not the one it returns")
	}
	for c := Identity; c <= Unknown; c++ {
		if s.Has(c) != (c == Gzip) {
			t.Errorf("Has(%v) = %v", c, s.Has(c))
		}
	}
}

func TestAddVary(t *testing.T) {
	tests := []struct {
		name       string
		have, want []string
	}{
		{"none", nil, []string{"Accept-Encoding"}},
		{"empty", []string{""}, []string{"Accept-Encoding"}},
		{"another", []string{"Origin"}, []string{"Origin, Accept-Encoding"}},
		{"there", []string{"Accept-Encoding"}, []string{"Accept-Encoding"}},
		{"there in another case", []string{"Origin, accept-encoding"}, []string{"Origin, accept-encoding"}},
		{"there on the second line", []string{"Origin", "Accept-Encoding"}, []string{"Origin", "Accept-Encoding"}},
		{"star", []string{"*"}, []string{"*"}},
		{"star in a list", []string{"Origin, *"}, []string{"Origin, *"}},
		{"two lines", []string{"Origin", "Cookie"}, []string{"Origin, Cookie, Accept-Encoding"}},
		{"a longer name", []string{"X-Accept-Encoding"}, []string{"X-Accept-Encoding, Accept-Encoding"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			shared := slices.Clone(tt.have)
			h := http.Header{}
			if tt.have != nil {
				h["Vary"] = append(make([]string, 0, 8), shared...)
			}
			other := http.Header{"Vary": h["Vary"]}
			AddVary(h)
			AddVary(h)
			if !slices.Equal(h["Vary"], tt.want) {
				t.Errorf("Vary is %q, want %q", h["Vary"], tt.want)
			}
			if !slices.Equal(other["Vary"], tt.have) {
				t.Errorf("the lines of another header became %q", other["Vary"])
			}
		})
	}
}

func TestNoTransform(t *testing.T) {
	for value, want := range map[string]bool{
		"": false, "no-transform": true, "NO-TRANSFORM": true, "public,no-transform,x": true, " no-transform ": true,
		"no-transformation": false, "x-no-transform": false, `x="no-transform"`: false, `x="a\", no-transform, \"b"`: false,
		`x="a", no-transform`: true, `x="\\", no-transform`: true, "no-transform=1": true, `x="unended, no-transform`: false, `private="a,b",no-transform`: true, ",,no-transform,": true,
	} {
		if got := NoTransform(header("Cache-Control", value)); got != want {
			t.Errorf("NoTransform(%q) = %v, want %v", value, got, want)
		}
	}
}
