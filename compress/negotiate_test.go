package compress

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	allAtHand = SetOf(Identity, Gzip, Brotli, Zstd)
	usual     = []Coding{Zstd, Brotli, Gzip}
)

// TestNegotiate is the table of negotiation: the client's field, the available codings and the
// result.
func TestNegotiate(t *testing.T) {
	const none = Unknown // in the table: nothing acceptable
	plain, gz := SetOf(Identity), SetOf(Gzip)
	tests := []struct {
		name   string
		accept []string
		have   Set
		prefer []Coding
		want   Coding
	}{
		{"no field", nil, allAtHand, usual, Identity},
		{"no field, only gzip stored", nil, gz, usual, none},
		{"empty field", []string{""}, allAtHand, usual, Identity},
		{"blank field", []string{" \t"}, allAtHand, usual, Identity},
		{"empty members", []string{",, ,"}, allAtHand, usual, Identity},
		{"a browser", []string{"gzip, deflate, br, zstd"}, allAtHand, usual, Zstd},
		{"an older browser", []string{"gzip, deflate, br"}, allAtHand, usual, Brotli},
		{"curl", []string{"gzip"}, allAtHand, usual, Gzip},
		{"case", []string{"GZIP"}, allAtHand, usual, Gzip},
		{"x-gzip", []string{"x-gzip"}, allAtHand, usual, Gzip},
		{"X-Gzip", []string{"X-Gzip;q=0.5"}, allAtHand, usual, Gzip},
		{"unknown coding", []string{"sdch, dcb"}, allAtHand, usual, Identity},
		{"unknown coding, only gzip stored", []string{"deflate"}, gz, usual, none},
		{"tie goes to the server", []string{"gzip, br"}, allAtHand, []Coding{Gzip, Brotli}, Gzip},
		{"tie, other server", []string{"gzip, br"}, allAtHand, []Coding{Brotli, Gzip}, Brotli},
		{"tie, one not in prefer", []string{"gzip, zstd"}, allAtHand, []Coding{Gzip}, Gzip},
		{"not in prefer, yet stored", []string{"gzip"}, allAtHand, []Coding{Zstd}, Gzip},
		{"no preference", []string{"gzip, br"}, allAtHand, nil, Brotli},
		{"tie with identity", []string{"gzip, identity"}, allAtHand, usual, Gzip},
		{"server prefers identity", []string{"gzip, identity"}, allAtHand, []Coding{Identity, Gzip}, Identity},
		{"server prefers identity, client did not name it", []string{"gzip"}, allAtHand, []Coding{Identity, Gzip}, Gzip},
		{"weights rule", []string{"zstd;q=0.1, gzip;q=0.9"}, allAtHand, usual, Gzip},
		{"identity weighs more", []string{"gzip;q=0.5, identity"}, allAtHand, usual, Identity},
		{"the best is not at hand", []string{"zstd, gzip;q=0.5"}, SetOf(Identity, Gzip), usual, Gzip},
		{"nothing coded at hand", []string{"zstd, gzip"}, plain, usual, Identity},
		{"thousandths", []string{"zstd;q=0.001, gzip;q=0.002"}, allAtHand, usual, Gzip},
		{"the smallest weight is before identity", []string{"gzip;q=0.001"}, allAtHand, usual, Gzip},
		{"q=0", []string{"gzip;q=0"}, allAtHand, usual, Identity},
		{"q=0.000", []string{"br, zstd;q=0.000"}, allAtHand, usual, Brotli},
		{"q=0, only gzip stored", []string{"gzip;q=0, br"}, gz, usual, none},
		{"identity;q=0", []string{"gzip, identity;q=0"}, plain, usual, none},
		{"identity;q=0 alone", []string{"identity;q=0"}, allAtHand, usual, none},
		{"identity;q=0, gzip stored", []string{"gzip, identity;q=0"}, allAtHand, usual, Gzip},
		{"star", []string{"*"}, allAtHand, usual, Zstd},
		{"star, plain at hand", []string{"*"}, plain, usual, Identity},
		{"star refused", []string{"*;q=0"}, allAtHand, usual, none},
		{"star refused but gzip", []string{"gzip, *;q=0"}, allAtHand, usual, Gzip},
		{"star refused but identity", []string{"identity, *;q=0"}, allAtHand, usual, Identity},
		{"star but zstd", []string{"zstd;q=0, *"}, allAtHand, usual, Brotli},
		{"star weighs more", []string{"gzip;q=0.2, *;q=0.5"}, allAtHand, usual, Zstd},
		{"star weighs less", []string{"gzip, *;q=0.5"}, allAtHand, usual, Gzip},
		{"star covers identity", []string{"gzip;q=0.2, *;q=0.5"}, SetOf(Identity, Gzip), usual, Identity},
		{"star refused once", []string{"*, *;q=0"}, allAtHand, usual, none},
		{"several lines", []string{"gzip;q=0.5", "br"}, allAtHand, usual, Brotli},
		{"several lines, one empty", []string{"", "gzip"}, allAtHand, usual, Gzip},
		{"refused on another line", []string{"gzip", "gzip;q=0"}, allAtHand, usual, Identity},
		{"named twice", []string{"gzip;q=0.1, br;q=0.5, gzip;q=0.9"}, allAtHand, usual, Gzip},
		{"named by its alias", []string{"gzip;q=0, x-gzip"}, allAtHand, usual, Identity},
		{"weight over one", []string{"zstd;q=1.5, gzip"}, allAtHand, usual, Gzip},
		{"weight below zero", []string{"zstd;q=-1, gzip"}, allAtHand, usual, Gzip},
		{"weight of words", []string{"zstd;q=high, gzip"}, allAtHand, usual, Gzip},
		{"weight of letters after the point", []string{"zstd;q=0.x, gzip"}, allAtHand, usual, Gzip},
		{"weight empty", []string{"zstd;q=, gzip"}, allAtHand, usual, Gzip},
		{"weight without value", []string{"zstd;q, gzip"}, allAtHand, usual, Gzip},
		{"weight of four decimals", []string{"zstd;q=0.1234, gzip"}, allAtHand, usual, Gzip},
		{"weight 1.001", []string{"zstd;q=1.001, gzip"}, allAtHand, usual, Gzip},
		{"weight 1.", []string{"zstd;q=1., gzip;q=0.9"}, allAtHand, usual, Zstd},
		{"weight 0.", []string{"zstd;q=0., gzip"}, allAtHand, usual, Gzip},
		{"weight 2", []string{"zstd;q=2, gzip"}, allAtHand, usual, Gzip},
		{"weight 00", []string{"zstd;q=00, gzip"}, allAtHand, usual, Gzip},
		{"malformed is not star", []string{"zstd;q=x, *"}, allAtHand, usual, Brotli},
		{"malformed identity", []string{"identity;q=x"}, allAtHand, usual, Identity},
		{"malformed star", []string{"*;q=x"}, allAtHand, usual, Identity},
		{"capital Q", []string{"zstd;Q=0, gzip"}, allAtHand, usual, Gzip},
		{"spaces", []string{"  zstd\t; q=0.5 ,gzip ;q=0.6"}, allAtHand, usual, Gzip},
		{"spaces at the sign", []string{"zstd;q = 0, gzip"}, allAtHand, usual, Gzip},
		{"other parameters", []string{"zstd;level=9;q=0.1, gzip;x"}, allAtHand, usual, Gzip},
		{"a name within a name", []string{"gzipped, xbr"}, allAtHand, usual, Identity},
		{"junk", []string{";;;=,\x00,\"gzip\""}, allAtHand, usual, Identity},
		{"nothing at hand", []string{"gzip"}, 0, usual, none},
		{"the stored response has an unknown coding", []string{"*"}, SetOf(Unknown), usual, none},
		{"prefer has an unknown", []string{"gzip"}, allAtHand.With(Unknown), []Coding{Unknown, Gzip}, Gzip},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := Negotiate(tt.accept, tt.have, tt.prefer)
			if !ok {
				got = none
			}
			if got != tt.want {
				t.Errorf("Negotiate(%q) = %v, want %v", tt.accept, got, tt.want)
			}
		})
	}
}

func TestAccepts(t *testing.T) {
	tests := []struct {
		accept []string
		want   Set
	}{
		{nil, SetOf(Identity)},
		{[]string{""}, SetOf(Identity)},
		{[]string{"gzip"}, SetOf(Identity, Gzip)},
		{[]string{"gzip;q=0"}, SetOf(Identity)},
		{[]string{"*"}, allAtHand},
		{[]string{"*;q=0"}, 0},
		{[]string{"br, *;q=0"}, SetOf(Brotli)},
		{[]string{"br;q=0, *"}, SetOf(Identity, Gzip, Zstd)},
		{[]string{"identity;q=0, zstd"}, SetOf(Zstd)},
	}
	for _, tt := range tests {
		for c := Identity; c <= Unknown; c++ {
			if got := Accepts(tt.accept, c); got != tt.want.Has(c) {
				t.Errorf("Accepts(%q, %v) = %v", tt.accept, c, got)
			}
		}
	}
}

// TestCanonicalFolds checks that spellings of the same preference have equal Accepts, and different
// preferences do not.
func TestCanonicalFolds(t *testing.T) {
	same := [][]string{
		{"gzip, br"}, {"br,gzip"}, {"gzip", "br"}, {"BR;q=1.0 , x-gzip;q=1"}, {"gzip, deflate, br"}, {"br;q=0.5, gzip;q=0.5"},
		{"gzip, br, zstd;q=0"},
	}
	for _, lines := range same {
		if got, want := Canonical(lines), Canonical(same[0]); got != want {
			t.Errorf("Canonical(%q) = %#x, want %#x", lines, got, want)
		}
	}
	different := [][]string{{"gzip, br"}, {"gzip"}, {"gzip, br;q=0.9"}, {"gzip;q=0.9, br"}, {""}, {"identity;q=0"}, {"*"}, {"gzip, br, identity;q=0"}}
	seen := map[Accept][]string{}
	for _, lines := range different {
		a := Canonical(lines)
		if other, ok := seen[a]; ok {
			t.Errorf("Canonical(%q) = Canonical(%q)", lines, other)
		}
		seen[a] = lines
	}
	if Canonical(nil) != IdentityOnly || Canonical([]string{"identity"}) != IdentityOnly {
		t.Error("a client without Accept-Encoding does not fold to IdentityOnly")
	}
}

func TestNegotiateAllocatesNothing(t *testing.T) {
	lines := []string{"gzip;q=0.8, deflate, br;q=0.9", "zstd, *;q=0.1"}
	if n := testing.AllocsPerRun(100, func() { Negotiate(lines, allAtHand, usual) }); n != 0 {
		t.Errorf("Negotiate allocates %v times", n)
	}
}

// FuzzNegotiate compares Negotiate with a second, slow implementation of the RFC.
func FuzzNegotiate(f *testing.F) {
	for _, s := range []string{
		"", "gzip", "gzip, deflate, br, zstd", "*;q=0, gzip", "identity;q=0", "gzip;q=0.001,br;q=1.000", "gzip;q=0;q=1",
		"x-gzip;Q=0.5\ngzip;q=0", "zstd ; q = 0.3 ; q=1, *", "br;q=1.5, *;q=0.2\n\nidentity;q=0.2",
	} {
		f.Add(s, uint8(allAtHand), uint8(1), uint8(2))
		f.Add(s, uint8(SetOf(Identity, Gzip)), uint8(0), uint8(0))
	}
	f.Fuzz(func(t *testing.T, field string, have, first, second uint8) {
		lines := strings.Split(field, "\n")
		prefer := []Coding{Coding(first % 5), Coding(second % 5)}
		got, ok := Negotiate(lines, Set(have), prefer)
		want, wantOK := slowNegotiate(lines, Set(have), prefer)
		if got != want || ok != wantOK {
			t.Errorf("Negotiate(%q, %b, %v) = %v %v, slowly %v %v", lines, have, prefer, got, ok, want, wantOK)
		}
		if ok && (!Set(have).Has(got) || !Accepts(lines, got)) {
			t.Errorf("Negotiate(%q) = %v, not at hand or not accepted", lines, got)
		}
	})
}

var qvalue = regexp.MustCompile(`^(0(\.[0-9]{0,3})?|1(\.0{0,3})?)$`)

// slowNegotiate is Negotiate with floats, maps and sorting.
func slowNegotiate(lines []string, have Set, prefer []Coding) (Coding, bool) {
	listed := map[string]float64{}
	for _, member := range strings.Split(strings.Join(lines, ","), ",") {
		parts := strings.Split(member, ";")
		name := strings.ToLower(strings.Trim(parts[0], " \t"))
		if name == "x-gzip" {
			name = "gzip"
		}
		q, ok := slowWeight(parts[1:])
		if !ok && (name == "identity" || name == "*") {
			continue
		}
		if old, again := listed[name]; again && (old == 0 || q == 0) {
			q = 0
		} else if again {
			q = max(q, old)
		}
		listed[name] = q
	}
	weigh := func(c Coding) float64 {
		if q, ok := listed[c.String()]; ok {
			return q
		}
		if q, ok := listed["*"]; ok {
			return q
		}
		if c == Identity {
			return 0.0001
		}
		return 0
	}
	order := append(slices.Clone(prefer), Zstd, Brotli, Gzip, Identity)
	order = slices.DeleteFunc(order, func(c Coding) bool { return c == Unknown || !have.Has(c) || weigh(c) == 0 })
	if len(order) == 0 {
		return Identity, false
	}
	slices.SortStableFunc(order, func(a, b Coding) int { return cmp.Compare(weigh(b), weigh(a)) })
	return order[0], true
}

// slowWeight finds a member's weight.
func slowWeight(params []string) (float64, bool) {
	for _, p := range params {
		name, value, _ := strings.Cut(p, "=")
		if strings.ToLower(strings.Trim(name, " \t")) != "q" {
			continue
		}
		value = strings.Trim(value, " \t")
		if !qvalue.MatchString(value) {
			return 0, false
		}
		q, err := strconv.ParseFloat(value, 64)
		return q, err == nil
	}
	return 1, true
}
