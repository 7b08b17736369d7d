package shared

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/store"
	"github.com/penstock/penstock/proxy/store/storetest"
	"github.com/penstock/penstock/test/redistest"
)

// whole adapts a Client to store.Store: its Get reads all variants.
type whole struct{ *Client }

func (w whole) Get(ctx context.Context, k cachepolicy.Key) (*store.Object, error) {
	return w.Client.Get(ctx, k, nil)
}

func (w whole) Peek(ctx context.Context, k cachepolicy.Key) (*store.Object, error) {
	return w.Get(ctx, k)
}

func (whole) CountHit(cachepolicy.Key) {}

func (whole) CountMiss(cachepolicy.Key) {}

var _ store.Store = whole{}

func TestStore(t *testing.T) {
	s, c := start(t)
	storetest.Run(t, func(t *testing.T) store.Store {
		s.Must("FLUSHALL")
		return whole{c}
	})
}

func TestStoreInCluster(t *testing.T) {
	nodes := redistest.StartCluster(t, 3)
	c := steady(t, nodes.URL())
	storetest.Run(t, func(t *testing.T) store.Store {
		for _, node := range nodes.Nodes {
			node.Must("FLUSHALL")
		}
		return whole{c}
	})
	t.Run("Spread", func(t *testing.T) {
		for i := range 100 {
			name := fmt.Sprint("spread", i)
			e := storetest.Entry("", name)
			e.Representations[0].Body = store.NewBody(randomBytes(300 << 10))
			mustPut(t, c, storetest.Key(name), e)
			if got := mustGet(t, c, storetest.Key(name), request()); !sameBody(got, e) {
				t.Fatalf("%s: another body", name)
			}
		}
		for _, node := range nodes.Nodes {
			if len(node.Keys("penstock:")) < 10 {
				t.Errorf("%s has %d keys", node.Addr, len(node.Keys("penstock:")))
			}
		}
		for i := range 100 {
			if err := c.Delete(t.Context(), storetest.Key(fmt.Sprint("spread", i))); err != nil {
				t.Fatal(err)
			}
		}
		for _, node := range nodes.Nodes {
			if keys := objectKeys(node); len(keys) != 0 {
				t.Errorf("%s has %q", node.Addr, keys)
			}
		}
	})
}

// objectKeys returns the keys that belong to objects.
func objectKeys(s *redistest.Server) []string {
	return slices.DeleteFunc(s.Keys("penstock:"), func(name string) bool { return strings.HasPrefix(name, "penstock:{fleet}") })
}

// request returns a GET with the fields given as name, value, name, value.
func request(fields ...string) *cachepolicy.Request {
	h := http.Header{}
	for i := 0; i+1 < len(fields); i += 2 {
		h.Add(fields[i], fields[i+1])
	}
	return &cachepolicy.Request{Method: "GET", Scheme: "http", Host: "example.com", Path: "/", Header: h}
}

// variant returns an entry that answers q and varies on the named fields.
func variant(t testing.TB, q *cachepolicy.Request, body string, names ...string) *store.Entry {
	t.Helper()
	var rules cachepolicy.Rules
	vary, ok := rules.MakeVary(q, http.Header{"Vary": names})
	if !ok {
		t.Fatalf("vary on %q", names)
	}
	return storetest.Entry(string(vary), body)
}

func mustPut(t testing.TB, c *Client, k cachepolicy.Key, e *store.Entry) {
	t.Helper()
	if err := c.Put(t.Context(), k, e, 0); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

// mustGet returns the one variant that answers q.
func mustGet(t testing.TB, c *Client, k cachepolicy.Key, q *cachepolicy.Request) *store.Entry {
	t.Helper()
	o, err := c.Get(t.Context(), k, q)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	if len(o.Variants) != 1 || o.Key != k {
		t.Fatalf("%d variants of %q", len(o.Variants), o.Key.Full)
	}
	return o.Variants[0]
}

func wantMiss(t testing.TB, c *Client, k cachepolicy.Key, q *cachepolicy.Request) {
	t.Helper()
	if o, err := c.Get(t.Context(), k, q); !errors.Is(err, store.ErrMiss) || o != nil {
		t.Fatalf("Get = %v, %v; want ErrMiss", o, err)
	}
}

func bodyOf(e *store.Entry) []byte { return slices.Concat(e.Representations[0].Body.Segments...) }

func sameBody(a, b *store.Entry) bool { return bytes.Equal(bodyOf(a), bodyOf(b)) }

// randomBytes returns bytes that can't be compressed.
func randomBytes(n int) []byte {
	source, b := rand.NewChaCha8([32]byte{}), make([]byte, n)
	_, _ = source.Read(b)
	return b
}

// commands returns how many commands on hashes and scripts the server has received so far.
func commands(s *redistest.Server) (n int) {
	for line := range strings.Lines(fmt.Sprint(s.Must("INFO", "commandstats"))) {
		for _, name := range []string{"hmget", "hget", "hgetall"} {
			if rest, ok := strings.CutPrefix(line, "cmdstat_"+name+":calls="); ok {
				var calls int
				_, _ = fmt.Sscanf(rest, "%d", &calls)
				n += calls
			}
		}
	}
	return n
}

func TestGetSelects(t *testing.T) {
	_, c := start(t)
	k := storetest.Key("k")
	de, en := request("Accept-Language", "de"), request("Accept-Language", "en")
	german, english := variant(t, de, "deutsch", "Accept-Language"), variant(t, en, "english", "Accept-Language")
	german.Language, english.Language = "de", "en"
	mustPut(t, c, k, german)
	mustPut(t, c, k, english)
	for _, test := range []struct {
		q    *cachepolicy.Request
		want string
	}{
		{de, "deutsch"},
		{en, "english"},
		{request("Accept-Language", "DE"), "deutsch"},
		{request("Accept-Language", "de;q=0.9, en;q=0.1"), "deutsch"}, // by its Content-Language
		{request("Accept-Language", "en, de;q=0.5"), "english"},
	} {
		if got := string(bodyOf(mustGet(t, c, k, test.q))); got != test.want {
			t.Errorf("%v: %q, want %q", test.q.Header, got, test.want)
		}
	}
	wantMiss(t, c, k, request())
	wantMiss(t, c, k, request("Accept-Language", "fr"))
}

// TestGetAgreesWithSelect checks that every process selects the same variant, and the same as
// Select over all variants.
func TestGetAgreesWithSelect(t *testing.T) {
	s, writer := start(t)
	reader := steady(t, s.URL())
	k := storetest.Key("k")
	values := []string{"", "a", "b"}
	names := [][]string{nil, {"X-A"}, {"X-B"}, {"X-A", "X-B"}}
	draw := rand.New(rand.NewPCG(1, 2))
	ask := func() *cachepolicy.Request {
		q := request()
		for _, name := range []string{"X-A", "X-B"} {
			if v := values[draw.IntN(len(values))]; v != "" {
				q.Header.Set(name, v)
			}
		}
		return q
	}
	for seq := range uint64(60) {
		e := variant(t, ask(), fmt.Sprint(seq), names[draw.IntN(len(names))]...)
		e.Seq = seq
		mustPut(t, writer, k, e)
		q := ask()
		o, err := writer.Get(t.Context(), k, nil)
		if err != nil {
			t.Fatal(err)
		}
		i := cachepolicy.Select(q, o.Variants)
		if i < 0 {
			wantMiss(t, reader, k, q)
			continue
		}
		if got := mustGet(t, reader, k, q); !sameBody(got, o.Variants[i]) {
			t.Fatalf("got %s, want %s", bodyOf(got), bodyOf(o.Variants[i]))
		}
	}
}

func TestOneRoundTrip(t *testing.T) {
	s, c := start(t)
	plain, varied := storetest.Key("plain"), storetest.Key("varied")
	q := request("Origin", "https://a.example")
	mustPut(t, c, plain, storetest.Entry("", "x"))
	mustPut(t, c, varied, variant(t, q, "y", "Origin"))
	mustPut(t, c, varied, variant(t, request("Origin", "https://b.example"), "z", "Origin"))
	fresh := steady(t, s.URL()) // has no hints
	trips := func(k cachepolicy.Key, want int) {
		t.Helper()
		before := commands(s)
		mustGet(t, fresh, k, q)
		if n := commands(s) - before; n != want {
			t.Errorf("%d round trips, want %d", n, want)
		}
	}
	trips(plain, 1)
	trips(varied, 2) // the first lookup that varies on Origin
	trips(varied, 1)
	trips(plain, 1)
}

func TestFence(t *testing.T) {
	_, c := start(t)
	k := storetest.Key("k")
	fenced := func(vary, body string, fence uint64) error {
		e := storetest.Entry(vary, body)
		e.Fence = fence
		return c.Put(t.Context(), k, e, 0)
	}
	for _, step := range []struct {
		body  string
		fence uint64
		want  error
		then  string
	}{
		{"a", 5, nil, "a"},
		{"late", 4, store.ErrFenced, "a"},
		{"again", 5, nil, "again"},
		{"newer", 1 << 40, nil, "newer"},
		{"late too", 1<<32 - 1, store.ErrFenced, "newer"},
		{"much newer", 1<<64 - 1, nil, "much newer"},
		{"late as well", 1<<64 - 2, store.ErrFenced, "much newer"},
		{"without a lease", 0, nil, "without a lease"},
	} {
		if err := fenced("", step.body, step.fence); !errors.Is(err, step.want) {
			t.Fatalf("%s: %v, want %v", step.body, err, step.want)
		}
		if got := string(bodyOf(mustGet(t, c, k, request()))); got != step.then {
			t.Fatalf("%s: %q is stored, want %q", step.body, got, step.then)
		}
	}
	// The fills of other variants have other fences.
	if err := errors.Join(fenced("", "x", 9), fenced("other", "y", 3)); err != nil {
		t.Error(err)
	}
}

func TestConcurrentFences(t *testing.T) {
	_, c := start(t)
	for round := range 5 {
		k := storetest.Key(fmt.Sprint(round))
		var wg sync.WaitGroup
		for fence := range uint64(16) {
			wg.Go(func() {
				e := storetest.Entry("", fmt.Sprint(fence+1))
				e.Fence = fence + 1
				if err := c.Put(t.Context(), k, e, 0); err != nil && !errors.Is(err, store.ErrFenced) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := string(bodyOf(mustGet(t, c, k, request()))); got != "16" {
			t.Errorf("%s is stored, not the newest", got)
		}
	}
}

func TestExpiry(t *testing.T) {
	s, c := start(t)
	k := storetest.Key("k")
	ttl := func() time.Duration { return time.Duration(s.Must("PTTL", c.objectKey(k)).(int64)) * time.Millisecond }
	within := func(want time.Duration) {
		t.Helper()
		if got := ttl(); got > want+time.Second || got < want-5*time.Second {
			t.Errorf("it lives for %v, want %v", got, want)
		}
	}
	e := storetest.Entry("a", "x")
	e.Lifetime, e.StaleRevalid, e.StaleError, e.ETag = 10*time.Minute, time.Minute, 20*time.Minute, ""
	mustPut(t, c, k, e)
	within(time.Until(e.Expiry()))
	longer := storetest.Entry("b", "y")
	longer.Lifetime = 2 * time.Hour
	mustPut(t, c, k, longer)
	within(time.Until(longer.Expiry()))
	mustPut(t, c, k, e) // must not shorten another variant's life
	within(time.Until(longer.Expiry()))
	if longer.Expiry().Sub(longer.Born) <= longer.Lifetime {
		t.Error("no time for validation")
	}
}

func TestSegments(t *testing.T) {
	s, c := start(t)
	k, q := storetest.Key("k"), request()
	big := storetest.Entry("", "")
	big.Representations[0].Body = store.NewBody(randomBytes(200<<10), randomBytes(500<<10))
	big.Representations = append(big.Representations, store.Representation{
		Coding: compress.Gzip, Head: "HTTP/1.1 200 OK\r\n", Body: store.NewBody(randomBytes(100 << 10)),
	})
	mustPut(t, c, k, big)
	got := mustGet(t, c, k, q)
	if !sameBody(got, big) || !bytes.Equal(slices.Concat(got.Representations[1].Body.Segments...), big.Representations[1].Body.Segments[0]) {
		t.Error("other bodies")
	}
	if n := len(objectKeys(s)); n != 1+4 {
		t.Errorf("%d keys, want the object and 4 segments", n)
	}
	for _, key := range objectKeys(s) {
		if ttl := s.Must("PTTL", key).(int64); ttl < (50 * time.Minute).Milliseconds() {
			t.Errorf("%s lives for %d ms", key, ttl)
		}
		if !strings.HasPrefix(key, c.objectKey(k)) {
			t.Errorf("%s is not in the object's slot", key)
		}
	}
	mustPut(t, c, k, big)
	if n := len(objectKeys(s)); n != 1+4 {
		t.Errorf("%d keys after it was replaced by its like", n)
	}
	big.Fence = 7
	mustPut(t, c, k, big)
	late := *storetest.Entry("", "") //nolint:govet // copied before it is used
	late.Fence, late.Representations = 6, big.Representations
	if err := c.Put(t.Context(), k, &late, 0); !errors.Is(err, store.ErrFenced) {
		t.Fatal(err)
	}
	if n := len(objectKeys(s)); n != 1+4 {
		t.Errorf("%d keys after one that was refused", n)
	}
	mustPut(t, c, k, storetest.Entry("", "small"))
	if keys := objectKeys(s); len(keys) != 1 {
		t.Errorf("keys %q after a small one took its place", keys)
	}
	mustPut(t, c, k, big)
	if err := c.Delete(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	if keys := objectKeys(s); len(keys) != 0 {
		t.Errorf("keys %q after Delete", keys)
	}
}

func TestTooLarge(t *testing.T) {
	s, _ := start(t)
	c := open(t, Config{URL: s.URL(), Timeout: 5 * time.Second, MaxObject: 100})
	await(t, c, Up)
	if err := c.Put(t.Context(), storetest.Key("k"), storetest.Entry("", strings.Repeat("x", 101)), 0); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("101 bytes: %v", err)
	}
	mustPut(t, c, storetest.Key("k"), storetest.Entry("", strings.Repeat("x", 100)))
	long := storetest.Entry(strings.Repeat("v", 70_000), "")
	if err := c.Put(t.Context(), storetest.Key("k"), long, 0); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("70000 bytes to vary on: %v", err)
	}
}

func TestCompress(t *testing.T) {
	s, _ := start(t)
	c := open(t, Config{URL: s.URL(), Timeout: 5 * time.Second, Compress: true})
	await(t, c, Up)
	reader := steady(t, s.URL()) // reads both forms, whether it compresses or not
	text := []byte(strings.Repeat("It is a truth universally acknowledged. ", 1000))
	for _, test := range []struct {
		name    string
		coding  compress.Coding
		body    []byte
		smaller bool
	}{
		{"text", compress.Identity, text, true},
		{"megabyte", compress.Identity, bytes.Repeat(text, 25), true},
		{"short", compress.Identity, text[:1000], false},
		{"noise", compress.Identity, randomBytes(50_000), false},
		{"large noise", compress.Identity, randomBytes(900_000), false},
		{"coded", compress.Gzip, text, false},
		{"empty", compress.Identity, nil, false},
	} {
		k, e := storetest.Key(test.name), storetest.Entry("", "")
		e.Representations[0].Coding, e.Representations[0].Body = test.coding, store.NewBody(test.body)
		mustPut(t, c, k, e)
		size := 0
		for _, key := range objectKeys(s) {
			if strings.HasPrefix(key, c.objectKey(k)) {
				size += int(s.Must("MEMORY", "USAGE", key).(int64))
			}
		}
		if smaller := size < len(test.body)*9/10; smaller != test.smaller {
			t.Errorf("%s: %d bytes take %d", test.name, len(test.body), size)
		}
		for _, from := range []*Client{c, reader} {
			if got := mustGet(t, from, k, request()); !sameBody(got, e) || got.Representations[0].Body.Size != int64(len(test.body)) {
				t.Errorf("%s: another body", test.name)
			}
		}
	}
}
