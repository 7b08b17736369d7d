package write

import (
	"encoding/binary"
	"hash/crc32"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestEncodeAndDecode(t *testing.T) {
	text := rapid.StringMatching(`[ -~]{0,20}`)
	rapid.Check(t, func(t *rapid.T) {
		w := &Write{
			ID: newID(), Route: text.Draw(t, "route"), Method: text.Draw(t, "method"), Scheme: "https", Host: text.Draw(t, "host"), Path: text.Draw(t, "path"),
			Query: text.Draw(t, "query"), Accepted: time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, "at")).UTC(), Seen: text.Draw(t, "seen"),
			Policy: Policy{rapid.IntRange(0, 9).Draw(t, "retries"), time.Second, time.Minute, rapid.Bool().Draw(t, "letter"), []int{404, 409}}, Order: text.Draw(t, "order"),
			Header: rapid.MapOf(text, rapid.SliceOfN(text, 1, 3)).Draw(t, "header"), Body: rapid.SliceOf(rapid.Byte()).Draw(t, "body"),
		}
		if rapid.Bool().Draw(t, "digests") {
			w.Key, w.Print, w.Who = digest([]byte("a")), digest([]byte("b")), digest([]byte("c"))
		}
		encoded, err := w.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if len(w.Header) == 0 {
			w.Header = nil
		}
		if len(w.Body) == 0 {
			w.Body = nil
		}
		if diff := cmp.Diff(w, got); diff != "" {
			t.Fatal(diff)
		}
		encoded[rapid.IntRange(0, len(encoded)-1).Draw(t, "place")] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		if _, err := Decode(encoded); err == nil {
			t.Fatal("a damaged record was decoded")
		}
	})
}

// TestDecodeOfAnEarlierVersion checks that writes from before the order and the list of statuses
// existed are read after an upgrade, and that their lane is their path.
func TestDecodeOfAnEarlierVersion(t *testing.T) {
	head := `{"id":"x","route":"r","method":"PUT","scheme":"https","host":"h","path":"/a","header":{"A":["b"]},"accepted":"2030-01-02T03:04:05Z","retries":3,"dead_letter":true}`
	b := binary.BigEndian.AppendUint32([]byte(magic), uint32(len(head)))
	b = append(b, head+"body"...)
	w, err := Decode(binary.BigEndian.AppendUint32(b, crc32.Checksum(b, table)))
	if err != nil {
		t.Fatal(err)
	}
	if w.Lane() != "h/a" || w.Policy.Retries != 3 || w.Policy.RetryOn != nil || string(w.Body) != "body" {
		t.Errorf("%+v in lane %q", w, w.Lane())
	}
}

// TestLane checks that the order replaces the path, and that no value of the order equals a path.
func TestLane(t *testing.T) {
	seen := map[string]Write{}
	for _, w := range []Write{{Host: "h", Path: "/a"}, {Host: "h", Path: "/a", Order: "/a"}, {Host: "h", Path: "/a", Order: "a"}, {Host: "i", Path: "/a", Order: "a"}} {
		if other, ok := seen[w.Lane()]; ok {
			t.Errorf("%+v is in the lane of %+v", w, other)
		}
		seen[w.Lane()] = w
	}
	if a, b := (&Write{Host: "h", Path: "/a", Order: "1"}), (&Write{Host: "h", Path: "/b", Order: "1"}); a.Lane() != b.Lane() {
		t.Errorf("%q, %q", a.Lane(), b.Lane())
	}
}

func FuzzDecode(f *testing.F) {
	encoded, _ := (&Write{ID: newID(), Header: http.Header{"A": {"b"}}, Body: []byte("body")}).Encode()
	f.Add(encoded)
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if w, err := Decode(b); err == nil {
			if _, err := w.Encode(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestCredentials(t *testing.T) {
	if !Credentials(http.Header{"Accept": {"x"}}, "").IsZero() {
		t.Error("none are some")
	}
	seen := map[Digest]http.Header{}
	for _, h := range []http.Header{
		{"Authorization": {"a"}}, {"Authorization": {"a", "b"}}, {"Authorization": {"ab"}}, {"Cookie": {"a"}}, {"X-Api-Key": {"a"}},
		{"Authorization": {"a"}, "Cookie": {"a"}}, {"Authorization": {""}},
	} {
		d := Credentials(h, "")
		if other, ok := seen[d]; ok || d.IsZero() {
			t.Errorf("%v is taken for %v", h, other)
		}
		seen[d] = h
		if d = Credentials(h, "credential"); !d.IsZero() && seen[d] == nil {
			seen[d] = h
		} else {
			t.Errorf("%v with a credential is taken for %v", h, seen[d])
		}
	}
}
