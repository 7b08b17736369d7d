package cache_test

import (
	"bytes"
	"io"
	"math"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	. "github.com/penstock/penstock/test/gatewaytest"
)

const compressed = cached + "\ncompress: {encodings: [zstd, br, gzip], min_size: 100}"

var prose = strings.Repeat("All that is gold does not glitter, not all those who wander are lost. ", 200)

func encode(t *testing.T, coding, text string) string {
	t.Helper()
	b, err := compress.Encode(nil, compress.ParseCoding(coding), 0, [][]byte{[]byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// decode is the body of r without its coding.
func decode(t *testing.T, r *Response) string {
	t.Helper()
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	b, err := compress.Decode(nil, compress.HeaderCoding(r.Header), [][]byte{[]byte(r.Body)}, compress.Limit{})
	if err != nil {
		t.Fatalf("decoding %d bytes of %v: %v", len(r.Body), r.Header["Content-Encoding"], err)
	}
	return string(b)
}

func wantCoded(t *testing.T, r *Response, coding, text string) {
	t.Helper()
	if r.Status != 200 || r.Header.Get("Content-Encoding") != coding {
		t.Fatalf("%d, Content-Encoding %q, want %q", r.Status, r.Header.Get("Content-Encoding"), coding)
	}
	if got := decode(t, r); got != text {
		t.Fatalf("%d bytes come out as %d, %.60q", len(r.Body), len(got), got)
	}
	if !strings.Contains(r.Header.Get("Vary"), "Accept-Encoding") {
		t.Errorf("Vary: %q", r.Header["Vary"])
	}
}

func TestEachGetsTheCodingThatItReads(t *testing.T) {
	o := NewOrigin(t, Text(prose, "Cache-Control", "max-age=60", "Etag", `"1"`))
	g := Route(t, o.URL, compressed)
	for range 2 {
		for _, coding := range []string{"zstd", "gzip", "br", ""} {
			r := g.Get("/", "Accept-Encoding", coding)
			wantCoded(t, r, coding, prose)
			tag := `"1"`
			if coding != "" {
				tag = cachepolicy.MarkETag(tag, coding)
			}
			if r.Header.Get("Etag") != tag {
				t.Errorf("%s: ETag %s", coding, r.Header.Get("Etag"))
			}
			if r := g.Get("/", "Accept-Encoding", coding, "If-None-Match", tag); r.Status != 304 || r.Header.Get("Etag") != tag {
				t.Errorf("%s: If-None-Match %s: %d %v", coding, tag, r.Status, r.Header)
			}
			h := g.Do("HEAD", "/", nil, "Accept-Encoding", coding)
			again := g.Get("/", "Accept-Encoding", coding)
			for _, name := range []string{"Content-Length", "Content-Encoding", "Etag", "Vary", "Content-Type"} {
				if h.Header.Get(name) != again.Header.Get(name) {
					t.Errorf("%s: HEAD has %s %q, GET %q", coding, name, h.Header.Get(name), again.Header.Get(name))
				}
			}
		}
	}
	wantCalls(t, o, 1)
	if got := o.Seen(0).Header.Get("Accept-Encoding"); got != "zstd, br, gzip" {
		t.Errorf("the origin was asked for %q", got)
	}
}

func TestBodyIsCodedAsItComes(t *testing.T) {
	for _, coding := range []string{"gzip", "br", "zstd"} {
		gate := NewGate(t)
		o := NewOrigin(t, halves(gate, prose, "the end", "Cache-Control", "max-age=60"))
		g := Route(t, o.URL, compressed)
		leader := open(t, g, "/", "Accept-Encoding", coding)
		follower := open(t, g, "/", "Accept-Encoding", coding)
		plain := open(t, g, "/")
		for _, resp := range []*http.Response{leader, follower, plain} {
			r, err := compress.NewReader(resp.Body, compress.HeaderCoding(resp.Header), compress.Limit{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if got := readSome(t, r, len(prose)); got != prose { // before the origin sends the rest
				t.Fatalf("%s: %.60q", coding, got)
			}
			defer func() {
				if rest, err := io.ReadAll(r); string(rest) != "the end" || err != nil {
					t.Errorf("%s: %q, %v", coding, rest, err)
				}
			}()
		}
		gate.Open()
		Eventually(t, "it is stored", func() bool { return g.Get("/").Hit() })
		r := g.Get("/", "Accept-Encoding", coding)
		wantCoded(t, r, coding, prose+"the end")
		if !r.Hit() {
			t.Errorf("%s: %s", coding, r.Header["Cache-Status"])
		}
	}
}

func TestHotIsCodedBest(t *testing.T) {
	o := NewOrigin(t, Text(prose, "Cache-Control", "max-age=60"))
	g := Route(t, o.URL, compressed+"\n")
	first := g.Get("/", "Accept-Encoding", "br")
	smaller := func() bool {
		r := g.Get("/", "Accept-Encoding", "br")
		wantCoded(t, r, "br", prose)
		return len(r.Body) < len(first.Body)
	}
	Eventually(t, "a hot response is coded at the best level", smaller)
}

func TestWhatIsNotCoded(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"no-transform": Text(prose, "Cache-Control", "max-age=60, no-transform"),
		"image":        Text(prose, "Cache-Control", "max-age=60", "Content-Type", "image/png"),
		"small":        Text("small", "Cache-Control", "max-age=60"),
	} {
		o := NewOrigin(t, h)
		g := Route(t, o.URL, compressed)
		for range 2 {
			if r := g.Get("/", "Accept-Encoding", "gzip"); r.Status != 200 || len(r.Header["Content-Encoding"]) > 0 {
				t.Errorf("%s: %d %v", name, r.Status, r.Header)
			}
		}
	}
}

func TestClientThatCannotReadTheOriginsCoding(t *testing.T) {
	for _, control := range []string{"max-age=60", "no-store"} {
		for _, size := range []int{1, 40} { // the larger is decoded for each client
			var noise strings.Builder
			for i := range size * 8000 {
				noise.WriteString(http.StatusText(100+i%400) + string(rune('a'+i*i%23)) + string(rune('a'+i*i*i%19)))
			}
			text := noise.String()
			o := NewOrigin(t, Text(encode(t, "gzip", text), "Cache-Control", control, "Content-Encoding", "gzip", "Content-Type", "text/plain", "Etag", `"g"`))
			g := Route(t, o.URL, compressed)
			for range 3 {
				r := g.Get("/")
				want(t, r, 200, text)
				if len(r.Header["Content-Encoding"]) > 0 || r.Header.Get("Etag") != cachepolicy.MarkETag(`"g"`, "identity") {
					t.Errorf("%v", r.Header)
				}
			}
			wantCoded(t, g.Get("/", "Accept-Encoding", "gzip"), "gzip", text)
		}
	}
}

func TestBombIsBoundedAndBrokenOff(t *testing.T) {
	bomb := encode(t, "gzip", string(make([]byte, 8<<20)))
	for _, control := range []string{"max-age=60", "no-store"} {
		o := NewOrigin(t, Text(bomb, "Cache-Control", control, "Content-Encoding", "gzip", "Content-Type", "text/plain"))
		g := Route(t, o.URL, compressed)
		for range 2 {
			resp, err := g.Open(t.Context(), "GET", "/", nil)
			if err != nil {
				continue // refused altogether
			}
			n, err := io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if err == nil || n > 4<<20 {
				t.Errorf("%s: %d bytes, %v", control, n, err)
			}
		}
	}
}

func TestEventsAreSentAsTheyCome(t *testing.T) {
	gate := make(chan string)
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		w.(http.Flusher).Flush()
		for event := range gate {
			io.WriteString(w, event)
			w.(http.Flusher).Flush()
		}
	})
	g := Route(t, o.URL, compressed)
	resp := open(t, g, "/", "Accept-Encoding", "gzip")
	if resp.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("%v", resp.Header)
	}
	gate <- "data: first\n\n"
	r, err := compress.NewReader(resp.Body, compress.Gzip, compress.Limit{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := readSome(t, r, 13); got != "data: first\n\n" {
		t.Errorf("%q", got)
	}
	gate <- "data: other\n\n" // sent only now that the first has arrived
	if got := readSome(t, r, 13); got != "data: other\n\n" {
		t.Errorf("%q", got)
	}
	close(gate)
	if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestFreshenedKeepsItsCodings(t *testing.T) {
	o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"1"`)
		w.Header().Set("Vary", "X-Other")
		w.Header().Set("Cache-Control", "max-age=60")
		if r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(304)
			return
		}
		Text(prose)(w, r)
	})
	g := Route(t, o.URL, compressed)
	for range 3 {
		for _, coding := range []string{"br", "gzip", ""} {
			wantCoded(t, g.Get("/", "Accept-Encoding", coding), coding, prose)
		}
		g.Clock.Advance(61 * time.Second)
	}
	wantCalls(t, o, 3)
}

// heap is what is held on to: the least of a few looks, since what is allocated while the collector marks counts as held that once.
func heap() uint64 {
	least := uint64(math.MaxUint64)
	for range 4 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		least = min(least, m.HeapAlloc)
	}
	return least
}

// drain reads body decoded to its end, stopping half way for as long as pause takes, and returns how much it was.
func drain(resp *http.Response, size int64, pause func()) (n int64, err error) {
	r, err := compress.NewReader(resp.Body, compress.HeaderCoding(resp.Header), compress.Limit{Bytes: -1, Ratio: -1})
	if err != nil {
		return 0, err
	}
	defer r.Close()
	if n, err = io.CopyN(io.Discard, r, size/2); err != nil {
		return n, err
	}
	pause()
	rest, err := io.Copy(io.Discard, r)
	return n + rest, err
}

func TestLargeBodyStreamsInLittleMemory(t *testing.T) {
	for coding, size := range map[string]int64{"": 64 << 20, "gzip": 24 << 20} {
		o := NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Content-Type", "text/plain")
			chunk := bytes.Repeat([]byte("0123456789abcdef"), 4096)
			for range size / int64(len(chunk)) {
				w.Write(chunk)
			}
		})
		g := Route(t, o.URL, compressed)
		before := heap()
		bodies := []*http.Response{open(t, g, "/", "Accept-Encoding", coding), open(t, g, "/"), open(t, g, "/", "Accept-Encoding", coding)}
		halfway, goOn := make(chan struct{}, len(bodies)), make(chan struct{})
		var all sync.WaitGroup
		for _, resp := range bodies {
			all.Go(func() {
				came := sync.OnceFunc(func() { halfway <- struct{}{} })
				defer came()
				n, err := drain(resp, size, func() { came(); <-goOn })
				if n != size || err != nil {
					t.Errorf("%d bytes of %d: %v", n, size, err)
				}
			})
		}
		for range bodies {
			<-halfway
		}
		if most := heap(); most > before+20<<20 {
			t.Errorf("coding %q: the heap grew by %d MiB", coding, (most-before)>>20)
		}
		close(goOn)
		all.Wait()
	}
}
