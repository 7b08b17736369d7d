package shared

import (
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
	"github.com/penstock/penstock/proxy/store/storetest"
	"github.com/penstock/penstock/test/redistest"
)

const connections = 64

// concurrently runs op from as many goroutines as redis-benchmark uses connections, whatever
// GOMAXPROCS is.
func concurrently(b *testing.B, op func(i int) error) {
	b.ReportAllocs()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range connections {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := op(int(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

const benchKeys = 1000

// fillBench stores objects of a kilobyte that vary on the named fields.
func fillBench(b *testing.B, c *Client, q *cachepolicy.Request, names ...string) (keys [benchKeys]cachepolicy.Key) {
	b.Helper()
	for i := range keys {
		keys[i] = storetest.Key(fmt.Sprintf("GET https example.com /products/%d and what else is in a key of usual length", i))
		e := variant(b, q, "", names...)
		e.Representations[0].Body = store.NewBody(randomBytes(1024))
		mustPut(b, c, keys[i], e)
	}
	return keys
}

// BenchmarkGet measures a hit of 1 KB. Run it with -cpu 1, next to BenchmarkRedis.
func BenchmarkGet(b *testing.B) {
	for _, test := range []struct {
		name  string
		names []string
	}{{"plain", nil}, {"vary", []string{"Accept-Language", "X-Device"}}} {
		b.Run(test.name, func(b *testing.B) {
			s := redistest.Start(b)
			c := open(b, Config{URL: s.URL(), Timeout: 5e9})
			await(b, c, Up)
			q := request("Accept-Language", "de-CH,de;q=0.9,en;q=0.5", "X-Device", "phone")
			keys := fillBench(b, c, q, test.names...)
			concurrently(b, func(i int) error {
				_, err := c.Get(b.Context(), keys[i%benchKeys], q)
				return err
			})
		})
	}
}

// BenchmarkRedis measures redis-benchmark on the same server: GETs of values of the same size.
func BenchmarkRedis(b *testing.B) {
	s := redistest.Start(b)
	out, err := exec.Command("redis-benchmark", "-p", s.Port(), "-c", fmt.Sprint(connections), "-t", "get", "-d", "1024", "-n", "200000", "-r", "1000", "--csv").Output()
	if err != nil {
		b.Fatal(err)
	}
	var rate float64
	for line := range strings.Lines(string(out)) {
		if rest, ok := strings.CutPrefix(line, `"GET","`); ok {
			_, _ = fmt.Sscanf(rest, "%f", &rate)
		}
	}
	for b.Loop() {
	}
	b.ReportMetric(rate, "ops/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkGoRedis measures a bare GET by the client library: the minimum for a Get that has a
// connection to itself.
func BenchmarkGoRedis(b *testing.B) {
	s := redistest.Start(b)
	c := open(b, Config{URL: s.URL(), Timeout: 5e9})
	await(b, c, Up)
	for i := range benchKeys {
		s.Must("SET", fmt.Sprint(i), strings.Repeat("x", 1024))
	}
	concurrently(b, func(i int) error { return c.rdb.Get(b.Context(), fmt.Sprint(i%benchKeys)).Err() })
}

// BenchmarkAlone is BenchmarkGet with a round trip for each lookup. Compare it with BenchmarkScript
// and BenchmarkGoRedis.
func BenchmarkAlone(b *testing.B) {
	s := redistest.Start(b)
	c := open(b, Config{URL: s.URL(), Timeout: 5e9})
	await(b, c, Up)
	together := c.gather
	b.Cleanup(func() { c.gather = together }) // for Close
	c.gather = nil
	keys := fillBench(b, c, request())
	concurrently(b, func(i int) error {
		_, err := c.Get(b.Context(), keys[i%benchKeys], request())
		return err
	})
}

// BenchmarkScript measures the alternative layout: a script that receives all fields of the request
// and searches the index for the variant. It always takes one round trip.
func BenchmarkScript(b *testing.B) {
	script := redis.NewScript(luaSelect)
	for _, test := range []struct {
		name  string
		names []string
	}{{"plain", nil}, {"vary", []string{"Accept-Language", "X-Device"}}} {
		b.Run(test.name, func(b *testing.B) {
			s := redistest.Start(b)
			c := open(b, Config{URL: s.URL(), Timeout: 5e9})
			await(b, c, Up)
			q := request("Accept-Language", "de-CH,de;q=0.9,en;q=0.5", "X-Device", "phone")
			keys := fillBench(b, c, q, test.names...)
			concurrently(b, func(i int) error {
				k := keys[i%benchKeys]
				reply, err := script.RunRO(b.Context(), c.rdb, []string{c.objectKey(k)}, selectors(q)...).Slice()
				if err != nil {
					return err
				}
				if _, err := parseIndex(k, reply[0].(string)); err != nil {
					return err
				}
				_, _, err = unpack(k, reply[1].(string))
				return err
			})
		})
	}
}

// selectors returns the fields of q, each as a Vary on that field alone.
func selectors(q *cachepolicy.Request) (args []any) {
	var rules cachepolicy.Rules
	for name := range q.Header {
		v, _ := rules.MakeVary(q, map[string][]string{"Vary": {name}})
		args = append(args, string(v))
	}
	return args
}

const luaSelect = `
local index = redis.call('HGET', KEYS[1], 'i')
local said = {}
for _, s in ipairs(ARGV) do said[s] = true end
local pos = 11
while pos <= #index do
	local len, id = struct.unpack('>I2c8', index, pos)
	local vary = struct.unpack('>I2', index, pos + 68)
	local at, stop, fits = pos + 70, pos + 70 + vary, true
	while at < stop and fits do
		local n = index:byte(at)
		local v = index:byte(at + 1 + n)
		local all = 2 + n + (v > 0 and v - 1 or 0)
		fits = said[index:sub(at, at + all - 1)]
		at = at + all
	end
	if fits then return {index, redis.call('HGET', KEYS[1], 'v' .. id)} end
	pos = pos + len
end
return {index}
`
