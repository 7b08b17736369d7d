package store_test

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/proxy/store"
)

func TestBuildHead(t *testing.T) {
	h := http.Header{
		"X-B":          {"2", "1"},
		"Content-Type": {"text/plain"},
		"etag":         {`"x"`},
		"Connection":   {"close"},
		"X-Split":      {"a\r\nSet-Cookie: b", "kept"},
		"X-Nul":        {"a\x00b"},
		"Bad Name":     {"x"},
		"X:Y\r\nZ":     {"x"},
		"X-Empty":      {""},
		"X-Space":      {"  a b\t"},
	}
	got := store.BuildHead(404, h, func(name string) bool { return name == "Connection" })
	want := "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nX-B: 2\r\nX-B: 1\r\nX-Empty: \r\nX-Space: a b\r\nX-Split: kept\r\nEtag: \"x\"\r\n"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := store.BuildHead(299, nil, nil); got != "HTTP/1.1 299 \r\n" {
		t.Errorf("unknown status: %q", got)
	}
}

func TestHeadViews(t *testing.T) {
	r := store.Representation{Head: "HTTP/1.1 203 Non-Authoritative Information\r\nA: 1\r\nB: x: y\r\nA: 2\r\nC: \r\n"}
	if r.Status() != 203 {
		t.Errorf("status %d", r.Status())
	}
	want := http.Header{"A": {"1", "2"}, "B": {"x: y"}, "C": {""}}
	if diff := cmp.Diff(want, r.Header()); diff != "" {
		t.Error(diff)
	}
	for _, f := range []struct {
		name, value string
		ok          bool
	}{{"A", "1", true}, {"B", "x: y", true}, {"C", "", true}, {"D", "", false}} {
		if v, ok := r.Field(f.name); v != f.value || ok != f.ok {
			t.Errorf("Field(%s) = %q, %v", f.name, v, ok)
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		for name := range r.Fields() {
			if name == "" {
				t.Error("empty name")
			}
		}
		_, _ = r.Field("C")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	for _, head := range []string{"", "HTTP/1.1", "HTTP/1.1 xyz\r\n"} {
		if r := (store.Representation{Head: head}); r.Status() != 0 || len(r.Header()) != 0 {
			t.Errorf("%q: status %d, header %v", head, r.Status(), r.Header())
		}
	}
}

// TestHeaderIsTheCallersOwn checks that appending to a value of one name does not change the value
// of another.
func TestHeaderIsTheCallersOwn(t *testing.T) {
	r := store.Representation{Head: "HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\n"}
	h := r.Header()
	h.Add("A", "9")
	h["A"][0] = "8"
	if h.Get("B") != "2" || r.Header().Get("A") != "1" {
		t.Errorf("%v, %v", h, r.Header())
	}
}

func TestHeadRoundTrip(t *testing.T) {
	name := rapid.Custom(func(t *rapid.T) string {
		return http.CanonicalHeaderKey(rapid.StringMatching("[A-Za-z][A-Za-z0-9-]{0,9}").Draw(t, "name"))
	})
	value := rapid.StringMatching("([!-~]([ -~]{0,20}[!-~])?)?")
	rapid.Check(t, func(t *rapid.T) {
		h := http.Header(rapid.MapOf(name, rapid.SliceOfN(value, 1, 3)).Draw(t, "header"))
		r := store.Representation{Head: store.BuildHead(200, h, nil)}
		if diff := cmp.Diff(h, r.Header()); diff != "" {
			t.Fatal(diff)
		}
		if again := store.BuildHead(200, maps.Clone(h), nil); again != r.Head {
			t.Fatalf("%q, then %q", r.Head, again)
		}
	})
}

// FuzzBuildHead checks that a head has at most as many lines as values, and no empty line.
func FuzzBuildHead(f *testing.F) {
	for _, s := range []string{"a", "a\r\nb: c", "\r\n\r\n", "\n", "a\rb", "\x00", "é", "\x7f"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		head := store.BuildHead(200, http.Header{name: {value, value}}, nil)
		lines := strings.Split(head, "\r\n")
		if len(lines) > 4 || lines[len(lines)-1] != "" || slices.Contains(lines[:len(lines)-1], "") || strings.Count(head, "\n")+1 != len(lines) {
			t.Errorf("%q", head)
		}
	})
}

func TestBodySlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segments := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 9), 0, 5).Draw(t, "segments")
		b := store.NewBody(segments...)
		whole := bytes.Join(segments, nil)
		off := rapid.IntRange(-2, 50).Draw(t, "off")
		n := rapid.IntRange(-2, 50).Draw(t, "n")
		var want []byte
		if off >= 0 && off < len(whole) && n > 0 {
			want = whole[off:min(len(whole), off+n)]
		}
		views := b.Slice(int64(off), int64(n))
		if got := bytes.Join(views, nil); !bytes.Equal(got, want) {
			t.Fatalf("Slice(%d, %d) of %q = %q, want %q", off, n, whole, got, want)
		}
		var buf bytes.Buffer
		if k, err := b.WriteTo(&buf); err != nil || k != int64(len(whole)) || !bytes.Equal(buf.Bytes(), whole) {
			t.Fatalf("WriteTo = %d, %v", k, err)
		}
	})
}

func TestBodySliceDoesNotCopy(t *testing.T) {
	seg := []byte("abcdef")
	views := store.NewBody(seg, seg).Slice(2, 6)
	if len(views) != 2 || &views[0][0] != &seg[2] || &views[1][0] != &seg[0] || cap(views[1]) != 2 {
		t.Errorf("%q", views)
	}
}
