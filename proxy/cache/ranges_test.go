package cache_test

import (
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/penstock/penstock/test/gatewaytest"
)

const digits = "0123456789abcdefghijklmnopqrstuvwxyz"

// file serves content with validators, ranges and conditions.
func file(content, etag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", etag)
		w.Header().Set("Cache-Control", "max-age=60")
		http.ServeContent(w, r, "x.txt", time.Time{}, strings.NewReader(content))
	}
}

func TestRangesOfWhatIsStored(t *testing.T) {
	o := NewOrigin(t, file(digits, `"1"`))
	g := Route(t, o.URL, cached)
	g.Get("/")
	for _, tt := range []struct {
		fields       []string
		status       int
		body, ranges string
	}{
		{[]string{"Range", "bytes=0-3"}, 206, "0123", "bytes 0-3/36"},
		{[]string{"Range", "bytes=30-"}, 206, "uvwxyz", "bytes 30-35/36"},
		{[]string{"Range", "bytes=-2"}, 206, "yz", "bytes 34-35/36"},
		{[]string{"Range", "bytes=40-50"}, 416, "", "bytes */36"},
		{[]string{"Range", "bytes=0-3", "If-Range", `"1"`}, 206, "0123", "bytes 0-3/36"},
		{[]string{"Range", "bytes=0-3", "If-Range", `"2"`}, 200, digits, ""},
		{[]string{"Range", "pages=0-3"}, 200, digits, ""},
		{[]string{"Range", "bytes=0-3", "If-None-Match", `"1"`}, 304, "", ""},
	} {
		r := g.Get("/", tt.fields...)
		want(t, r, tt.status, tt.body)
		if !r.Hit() || r.Header.Get("Content-Range") != tt.ranges {
			t.Errorf("%v: Content-Range %q, %s", tt.fields, r.Header.Get("Content-Range"), r.Header["Cache-Status"])
		}
	}
	if r := g.Do("HEAD", "/", nil, "Range", "bytes=0-3"); r.Status != 200 || r.Header.Get("Content-Length") != "36" {
		t.Errorf("HEAD with Range: %d %v", r.Status, r.Header)
	}
	wantCalls(t, o, 1)
}

// parts reads a multipart/byteranges response.
func parts(t *testing.T, r *Response) map[string]string {
	t.Helper()
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Status != 206 || media != "multipart/byteranges" || err != nil || len(r.Header["Content-Range"]) > 0 {
		t.Fatalf("%d %v", r.Status, r.Header)
	}
	got := map[string]string{}
	for mr := multipart.NewReader(strings.NewReader(r.Body), params["boundary"]); ; {
		p, err := mr.NextPart()
		if err == io.EOF {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		content, _ := io.ReadAll(p)
		if !strings.HasPrefix(p.Header.Get("Content-Type"), "text/plain") {
			t.Errorf("part's header: %v", p.Header)
		}
		got[p.Header.Get("Content-Range")] = string(content)
	}
}

func TestSeveralRanges(t *testing.T) {
	o := NewOrigin(t, file(digits, `"1"`))
	g := Route(t, o.URL, cached)
	g.Get("/")
	got := parts(t, g.Get("/", "Range", "bytes=0-1,10-11"))
	if len(got) != 2 || got["bytes 0-1/36"] != "01" || got["bytes 10-11/36"] != "ab" {
		t.Errorf("got %v", got)
	}
}

func TestPartsAreStoredAndJoined(t *testing.T) {
	o := NewOrigin(t, file(digits, `"1"`))
	g := Route(t, o.URL, cached)
	want(t, g.Get("/", "Range", "bytes=0-9"), 206, "0123456789")
	r := g.Get("/", "Range", "bytes=2-4")
	want(t, r, 206, "234")
	if !r.Hit() || r.Header.Get("Content-Range") != "bytes 2-4/36" {
		t.Errorf("a part of a part: %v", r.Header)
	}
	got := parts(t, g.Get("/", "Range", "bytes=0-1,4-5")) // several of one part
	if got["bytes 0-1/36"] != "01" || got["bytes 4-5/36"] != "45" {
		t.Errorf("got %v", got)
	}
	wantCalls(t, o, 1)
	want(t, g.Get("/", "Range", "bytes=5-19"), 206, digits[5:20])
	if o.Seen(1).Header.Get("Range") != "bytes=10-19" || o.Seen(1).Header.Get("If-Range") != `"1"` {
		t.Errorf("the missing range was requested with %v", o.Seen(1).Header)
	}
	whole := g.Get("/")
	want(t, whole, 200, digits)
	if o.Seen(2).Header.Get("Range") != "bytes=20-" || len(whole.Header["Content-Range"]) > 0 || whole.Header.Get("Content-Length") != "36" {
		t.Errorf("asked %v, got %v", o.Seen(2).Header, whole.Header)
	}
	wantHit(t, g.Get("/"), digits)
	wantCalls(t, o, 3)
}

func TestPartOfAnotherVersionIsNotJoined(t *testing.T) {
	o := NewOrigin(t, file(digits, `"1"`))
	g := Route(t, o.URL, cached)
	g.Get("/", "Range", "bytes=0-9")
	upper := strings.ToUpper(digits)
	o.Answer(file(upper, `"2"`))
	want(t, g.Get("/"), 200, upper)
	wantHit(t, g.Get("/"), upper)
}

func TestPartThatLacksWhatWasAskedFor(t *testing.T) {
	o := NewOrigin(t, file(digits, `"1"`))
	g := Route(t, o.URL, cached)
	g.Get("/", "Range", "bytes=0-9")
	o.Answer(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" {
			r.Header.Set("Range", "bytes=10-12") // less than was asked for
		}
		file(digits, `"1"`)(w, r)
	})
	want(t, g.Get("/"), 200, digits)
}

func TestRangesOfACodedResponse(t *testing.T) {
	coded := encode(t, "gzip", strings.Repeat(digits, 100))
	o := NewOrigin(t, Text(coded, "Cache-Control", "max-age=60", "Content-Encoding", "gzip", "Etag", `"g"`, "Content-Type", "text/plain"))
	g := Route(t, o.URL, cached+"\ncompress: {encodings: [gzip]}")
	g.Get("/", "Accept-Encoding", "gzip")
	r := g.Get("/", "Accept-Encoding", "gzip", "Range", "bytes=0-9")
	want(t, r, 206, coded[:10])
	if r.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("%v", r.Header)
	}
	// Who can't read these bytes gets all, decoded.
	r = g.Get("/", "Range", "bytes=0-9")
	want(t, r, 200, strings.Repeat(digits, 100))
	if len(r.Header["Content-Encoding"]) > 0 || len(r.Header["Content-Range"]) > 0 {
		t.Errorf("%v", r.Header)
	}
}

func TestPartsAreAskedForUncoded(t *testing.T) {
	o := NewOrigin(t, file(digits, `"1"`))
	g := Route(t, o.URL, cached+"\ncompress: {encodings: [gzip]}")
	want(t, g.Get("/", "Range", "bytes=0-3", "Accept-Encoding", "gzip"), 206, "0123")
	if got := o.Seen(0).Header.Get("Accept-Encoding"); got != "identity" {
		t.Errorf("Accept-Encoding: %q", got)
	}
}
