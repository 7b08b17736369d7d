package shared

import (
	"testing"

	"github.com/penstock/penstock/proxy/store"
	"github.com/penstock/penstock/proxy/store/storetest"
)

// TestMemoryPerObject measures the memory of an object in Redis beyond its body, with MEMORY USAGE:
// key, hash, index, metadata, head.
func TestMemoryPerObject(t *testing.T) {
	s, c := start(t)
	for _, size := range []int{1 << 10, 16 << 10, 300 << 10} {
		k, e := storetest.Key("GET https example.com /products/12345 and what else is in a key of usual length"), storetest.Entry("", "")
		e.Representations[0].Head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 16384\r\nContent-Type: application/json\r\nEtag: \"0123456789\"\r\n"
		e.Representations[0].Body = store.NewBody(randomBytes(size))
		mustPut(t, c, k, e)
		used := 0
		for _, key := range objectKeys(s) {
			used += int(s.Must("MEMORY", "USAGE", key).(int64))
		}
		t.Logf("a body of %d bytes takes %d in Redis", size, used)
		// Redis's allocator rounds up, by up to a quarter.
		if most := size*5/4 + 1200; used > most {
			t.Errorf("a body of %d bytes takes %d in Redis, want at most %d", size, used, most)
		}
		if err := c.Delete(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
}
