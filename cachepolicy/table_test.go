package cachepolicy

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the right-hand sides of testdata/*.table")

// t0 is the time at which the stored response of every table was received. It is a whole second, as
// Date fields are.
var t0 = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// runTable runs the cases of testdata/name. A case is a line "input | input -> result". runTable
// compares result with the return value of answer for the inputs. Empty lines and lines that begin
// with # are comments.
func runTable(t *testing.T, name string, columns int, answer func(in []string) string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	cases := 0
	for i, line := range lines {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		input, want, ok := strings.Cut(line, "->")
		in := strings.Split(input, "|")
		if !ok && !*update || len(in) != columns {
			t.Fatalf("%s:%d: want %d columns and a result: %s", path, i+1, columns, line)
		}
		for j := range in {
			in[j] = strings.TrimSpace(in[j])
		}
		cases++
		got := answer(in)
		if *update {
			lines[i] = strings.TrimRight(input, " ") + " -> " + got
			continue
		}
		if want = strings.TrimSpace(want); got != want {
			t.Errorf("%s:%d: %s\n got %s\nwant %s", path, i+1, strings.TrimRight(input, " "), got, want)
		}
		// A request that a credential has let in is decided as if it had Authorization.
		if in[0] = strings.Replace(in[0], "[Authorization:", "[Credential:", 1); answer(in) != want {
			t.Errorf("%s:%d: with a credential in place of Authorization: %s\n got %s\nwant %s", path, i+1, strings.TrimRight(input, " "), answer(in), want)
		}
	}
	if cases == 0 {
		t.Fatalf("%s has no cases", path)
	}
	if *update {
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// cutFields removes the "[Name: value]" groups from a column and returns the rest as words. {+60}
// in a value stands for the HTTP-date 60 seconds after t0.
func cutFields(column string) (words []string, h http.Header) {
	h = http.Header{}
	var rest strings.Builder
	for {
		before, after, ok := strings.Cut(column, "[")
		rest.WriteString(before + " ")
		if !ok {
			return strings.Fields(rest.String()), h
		}
		group, tail, _ := strings.Cut(after, "]")
		name, value, _ := strings.Cut(group, ":")
		h.Add(name, dates(strings.TrimSpace(value)))
		column = tail
	}
}

func dates(value string) string {
	before, after, ok := strings.Cut(value, "{")
	if !ok {
		return value
	}
	seconds, tail, _ := strings.Cut(after, "}")
	n, err := strconv.Atoi(seconds)
	if err != nil {
		panic(err)
	}
	return before + t0.Add(time.Duration(n)*time.Second).Format(http.TimeFormat) + tail
}

// tableRequest reads "GET /path [Name: value] …". The field Credential stands for a credential that
// has let the request in.
func tableRequest(column string) *Request {
	words, h := cutFields(column)
	path, query, _ := strings.Cut(words[1], "?")
	credential := h.Get("Credential")
	delete(h, "Credential")
	return &Request{Method: words[0], Scheme: "http", Host: "example.com", Path: path, RawQuery: query, Header: h, HasBody: len(words) > 2, Credential: credential}
}

// tableAnswer reads "200 delay=2s [Name: value] …", "fail-timeout" or "-", received at the given
// time.
func tableAnswer(column string, received time.Time) *Answer {
	words, h := cutFields(column)
	if len(words) == 0 || words[0] == "-" {
		return nil
	}
	a := &Answer{Header: h, Sent: received, Received: received}
	failures := map[string]Failure{"unreachable": FailureUnreachable, "timeout": FailureTimeout, "invalid": FailureInvalid, "overload": FailureOverload}
	if f, ok := failures[words[0]]; ok {
		a.Failure = f
		return a
	}
	a.Status = number(words[0])
	for _, w := range words[1:] {
		delay, _ := strings.CutPrefix(w, "delay=")
		a.Sent = received.Add(-duration(delay))
	}
	return a
}

// tableRules reads "swr=30s jitter=0.1 …" and the chance that goes with it.
func tableRules(column string) (r *Rules, chance float64) {
	r = &Rules{Route: "r", Enabled: true}
	for word := range strings.FieldsSeq(column) {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "default":
			r.TTLDefault = duration(value)
		case "min":
			r.TTLMin = duration(value)
		case "max":
			r.TTLMax = duration(value)
		case "swr":
			r.StaleRevalid = duration(value)
		case "sie":
			r.StaleError = duration(value)
		case "jitter":
			r.TTLJitter = float(value)
		case "beta":
			r.EarlyBeta = float(value)
		case "chance":
			chance = float(value)
		case "authorization":
			r.Authorization = map[string]AuthorizationMode{"never": AuthorizationNever, "key": AuthorizationKey}[value]
		case "set-cookie":
			r.SetCookie = map[string]SetCookieMode{"strip": SetCookieStrip, "store": SetCookieStore}[value]
		case "cookies":
			r.Cookies = map[string]CookieMode{"ignore": CookiesIgnore, "bypass": CookiesBypass}[value]
		case "ignore-cookies":
			r.IgnoreCookies = strings.Split(value, ",")
		case "key-cookies":
			r.KeyCookies = strings.Split(value, ",")
		case "key-headers":
			r.KeyHeaders = strings.Split(value, ",")
		case "ignore-client":
			r.IgnoreClient = true
		case "ignore-origin":
			r.IgnoreOrigin = true
		case "disabled":
			r.Enabled = false
		case "transcodes":
			r.Transcodes = true
		case "targets":
			r.Targets = strings.Split(value, ",")
		default:
			if r.TTLStatus == nil {
				r.TTLStatus = map[int]time.Duration{}
			}
			r.TTLStatus[number(name)] = duration(value)
		}
	}
	return r, chance
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

func float(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic(err)
	}
	return f
}

func duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return d
}

// printMeta writes the facts of a response that differ from their usual values, relative to now.
func printMeta(m *Meta, now time.Time) string {
	s := fmt.Sprintf("%d lifetime=%s age=%s", m.Status, m.Lifetime, m.Age(now))
	optional := func(name string, set bool, value any) {
		if set {
			s += fmt.Sprintf(" %s=%v", name, value)
		}
	}
	optional("swr", m.StaleRevalid != 0, m.StaleRevalid)
	optional("sie", m.StaleError > 0, m.StaleError)
	optional("sie", m.StaleError < 0, "never")
	optional("etag", m.ETag != "", m.ETag)
	optional("modified", !m.LastModified.IsZero(), m.LastModified.Sub(t0))
	optional("language", m.Language != "", m.Language)
	optional("vary", m.Vary != "", len(m.Vary))
	optional("total", m.Total >= 0, m.Total)
	for i, name := range []string{"must-revalidate", "no-cache", "immutable", "heuristic", "authorized", "inconsistent"} {
		if m.Flags&(1<<i) != 0 {
			s += " " + name
		}
	}
	if m.Lifetime > 0 && m.Flags&FlagDeclared == 0 {
		s += " undeclared"
	}
	for _, span := range m.Spans {
		s += fmt.Sprintf(" %d-%d", span.First, span.Last)
	}
	return s
}

// storedBy returns the response that the table's rules store for the answer in a column, received
// at t0. It returns nil for "-".
func storedBy(column, rules string, q *Request) (m *Meta, h http.Header) {
	a := tableAnswer(column, t0)
	if a == nil {
		return nil, nil
	}
	r, chance := tableRules(rules)
	fill := *q
	fill.Method = "GET"
	fill.Header = http.Header{}
	for _, name := range []string{"Authorization", "Accept-Language"} {
		if v := q.Header[name]; v != nil {
			fill.Header[name] = v
		}
	}
	if a.Status == 206 {
		fill.Header.Set("Range", "bytes="+strings.TrimPrefix(rangeOf(a), "bytes "))
	}
	v := r.Settle(&fill, nil, a, t0, chance)
	if v.Effect != Store {
		panic("not stored: " + column + ": " + v.Reason.String())
	}
	h = a.Header.Clone()
	r.StripUnstorable(h)
	return &v.Meta, h
}

func rangeOf(a *Answer) string {
	positions, _, _ := strings.Cut(a.Header.Get("Content-Range"), "/")
	return positions
}
