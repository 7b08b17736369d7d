package observe

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// logTo returns a log that writes to a file, and its path.
func logTo(t testing.TB, format AccessFormat, sample float64) (*AccessLog, string) {
	path := filepath.Join(t.TempDir(), "access.log")
	l := NewAccessLog(func(err error) { t.Error(err) })
	t.Cleanup(func() { _ = l.Close(t.Context()) })
	put(t, l, AccessConfig{path, format, sample})
	return l, path
}

// put puts c into force.
func put(t testing.TB, l *AccessLog, c AccessConfig) {
	commit, _, err := l.Prepare(c)
	if err != nil {
		t.Fatal(err)
	}
	commit()
}

// lines returns the lines of the file.
func lines(t testing.TB, path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

var aMoment = time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)

func anEvent() (*Event, *http.Request) {
	r := &http.Request{Method: "GET", RequestURI: "/a?b=c", Proto: "HTTP/1.1", Header: http.Header{"User-Agent": {"curl/8"}, "Referer": {"http://x/"}}}
	return &Event{
		Start: aMoment, Took: 1500 * time.Microsecond, Route: "api", Method: "GET", Status: 200, BytesIn: 80, BytesOut: 1024, Scheme: "http", Host: "a.example",
		ClientIP: netip.MustParseAddr("192.0.2.1"), Cache: CacheMiss, Reason: "none", KeyHash: "00ff", Upstream: "web", Target: "http://o", UpstreamStatus: 200, Tries: 1,
	}, r
}

func aHit(head string) *Hit {
	return &Hit{
		Start: aMoment, Took: 5 * time.Microsecond, Route: "api", Method: "GET", Status: 200, Scheme: "http", Host: "a.example", BytesOut: 1024,
		ClientIP: netip.MustParseAddr("192.0.2.1"), Head: []byte(head), Age: time.Second, TTL: time.Minute,
	}
}

func TestAccessLine(t *testing.T) {
	e, r := anEvent()
	h := aHit("GET /a?b=c HTTP/1.1\r\nHost: a.example\r\nuser-AGENT:  curl/8 \r\nReferer: http://x/\r\n\r\n")
	for format, want := range map[AccessFormat]string{
		FormatCommon:   `192.0.2.1 - - [02/Jan/2026:03:04:05 +0000] "GET /a?b=c HTTP/1.1" 200 1024`,
		FormatCombined: `192.0.2.1 - - [02/Jan/2026:03:04:05 +0000] "GET /a?b=c HTTP/1.1" 200 1024 "http://x/" "curl/8"`,
	} {
		l, path := logTo(t, format, 1)
		l.Finish(e, r)
		l.Hit(h)
		l.Flush()
		if got := lines(t, path); len(got) != 2 || got[0] != want || got[1] != want {
			t.Errorf("%q, want twice %q", got, want)
		}
	}
	l, path := logTo(t, FormatJSON, 1)
	l.Finish(e, r)
	l.Hit(h)
	l.Flush()
	got := lines(t, path)
	if want := `{"time":"2026-01-02T03:04:05.678000Z","client":"192.0.2.1","method":"GET","scheme":"http","host":"a.example","target":"/a?b=c","protocol":"HTTP/1.1",` +
		`"status":200,"bytes_in":80,"bytes_out":1024,"duration":0.0015,"route":"api","cache":"miss","key":"00ff","referer":"http://x/","user_agent":"curl/8",` +
		`"upstream":"web","upstream_target":"http://o","upstream_status":200,"tries":1,"first_byte":0,"bytes_from_origin":0}`; got[0] != want {
		t.Errorf("%s\nwant\n%s", got[0], want)
	}
	if want := `{"time":"2026-01-02T03:04:05.678000Z","client":"192.0.2.1","method":"GET","scheme":"http","host":"a.example","target":"/a?b=c","protocol":"HTTP/1.1",` +
		`"status":200,"bytes_in":0,"bytes_out":1024,"duration":0.000005,"route":"api","cache":"hit","tier":"memory","age":1,"ttl":60,"referer":"http://x/","user_agent":"curl/8"}`; got[1] != want {
		t.Errorf("%s\nwant\n%s", got[1], want)
	}
}

// TestClientsCannotForgeLines checks that any request makes exactly one line of printable characters,
// and that JSON stays valid.
func TestClientsCannotForgeLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := func(name string) string { return string(rapid.SliceOf(rapid.Byte()).Draw(t, name)) }
		e, r := anEvent()
		e.Method, e.Host, r.RequestURI, r.Header = raw("method"), raw("host"), raw("target"), http.Header{"User-Agent": {raw("agent")}, "Referer": {raw("referer")}}
		finished, hit := entryOf(e, r), entryOfHit(aHit(raw("head")))
		for _, entry := range []*entry{&finished, &hit} {
			for format := FormatJSON; format <= FormatCombined; format++ {
				line := string(entry.append(nil, format))
				if strings.ContainsFunc(line[:len(line)-1], func(c rune) bool { return c < ' ' || c >= 0x7f && c < 0xa0 || c == 0x2028 || c == 0x2029 }) {
					t.Fatalf("format %d: %q", format, line)
				}
				if format == FormatJSON && !json.Valid([]byte(line)) {
					t.Fatalf("no JSON: %q", line)
				}
				if format == FormatCombined && strings.Count(line, `"`) != 6 {
					t.Fatalf("quotes: %q", line)
				}
			}
		}
	})
}

func TestSampleKeepsAllFailures(t *testing.T) {
	l, path := logTo(t, FormatCommon, 0)
	e, r := anEvent()
	for range 100 {
		l.Finish(e, r)
		l.Hit(aHit("GET / HTTP/1.1\r\n\r\n"))
	}
	e.Status = 502
	l.Finish(e, r)
	l.Flush()
	if got := lines(t, path); len(got) != 1 || !strings.Contains(got[0], " 502 ") {
		t.Errorf("%q", got)
	}
	put(t, l, AccessConfig{path, FormatCommon, 0.5})
	e.Status = 200
	for range 1000 {
		l.Finish(e, r)
	}
	l.Flush()
	if n := len(lines(t, path)); n < 300 || n > 700 {
		t.Errorf("half of 1000 are %d lines", n)
	}
}

func TestReopen(t *testing.T) {
	l, path := logTo(t, FormatCommon, 1)
	l.Hit(aHit("GET /1 HTTP/1.1\r\n\r\n"))
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.Hit(aHit("GET /2 HTTP/1.1\r\n\r\n"))
	l.Flush()
	if old, now := lines(t, path+".1"), lines(t, path); !strings.Contains(old[0], "/1") || len(now) != 1 || !strings.Contains(now[0], "/2") {
		t.Errorf("%q, then %q", old, now)
	}
	if _, _, err := l.Prepare(AccessConfig{Output: filepath.Join(path, "impossible")}); err == nil {
		t.Error("a file below a file was opened")
	}
}

// stuckWriter accepts nothing until it is released.
type stuckWriter struct{ let, entered chan struct{} }

func (w stuckWriter) Write(p []byte) (int, error) {
	signal(w.entered)
	<-w.let
	return len(p), nil
}

func TestStuckOutputDoesNotDelayRequests(t *testing.T) {
	l := NewAccessLog(nil)
	put(t, l, AccessConfig{"stdout", FormatJSON, 1})
	stuck := stuckWriter{make(chan struct{}), make(chan struct{}, 1)}
	l.replace(output{Writer: stuck})
	h := aHit("GET / HTTP/1.1\r\n\r\n")
	l.Hit(h)
	<-stuck.entered
	for range 3 * accessBuffer / 300 {
		l.Hit(h)
	}
	if l.Dropped() == 0 || len(l.ready) > accessBuffer {
		t.Errorf("%d dropped, %d bytes wait", l.Dropped(), len(l.ready))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Close(ctx); err == nil {
		t.Error("a log that is not written was closed without a word")
	}
	close(stuck.let)
	<-l.ended
}

func TestCloseWritesWaitingLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := NewAccessLog(nil)
	put(t, l, AccessConfig{path, FormatCommon, 1})
	for range 100 {
		l.Hit(aHit("GET / HTTP/1.1\r\n\r\n"))
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.Flush()
	if n := len(lines(t, path)); n != 100 {
		t.Errorf("%d lines, want 100", n)
	}
}

func TestLoggingAHitAllocatesNothing(t *testing.T) {
	l, _ := logTo(t, FormatJSON, 1)
	h := aHit("GET /a HTTP/1.1\r\nUser-Agent: x\r\n\r\n")
	for range 4 { // until both buffers have grown
		for range accessBuffer / 600 {
			l.Hit(h)
		}
		l.Flush()
	}
	l.Flush()
	if n := testing.AllocsPerRun(100, func() { l.Hit(h) }); n >= 1 && !raceEnabled { // under the race detector pools forget at random
		t.Errorf("%v allocations", n)
	}
	off := NewAccessLog(nil)
	defer off.Close(t.Context())
	if n := testing.AllocsPerRun(100, func() { off.Hit(h) }); n != 0 {
		t.Errorf("%v allocations where nothing is logged", n)
	}
}

func BenchmarkAccessLogHit(b *testing.B) {
	for name, sample := range map[string]float64{"all": 1, "one in a hundred": 0.01} {
		b.Run(name, func(b *testing.B) {
			l := NewAccessLog(nil)
			defer l.Close(b.Context())
			put(b, l, AccessConfig{"/dev/null", FormatJSON, sample})
			h := aHit("GET /catalogue/1 HTTP/1.1\r\nHost: a.example\r\nUser-Agent: wrk\r\n\r\n")
			b.ReportAllocs()
			for b.Loop() {
				l.Hit(h)
			}
		})
	}
}
