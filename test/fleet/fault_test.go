package fleet

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/test/redistest"
)

// faulty is a fleet whose connection to Redis can be disturbed.
type faulty struct {
	*bench
	proxy *redistest.Proxy
}

func startFaulty(t *testing.T, s Setup) *faulty {
	t.Helper()
	redis, origin := redistest.Start(t), NewOrigin(t)
	proxy := redistest.StartProxy(t, redis.Addr)
	s.Redis, s.Origin = proxy.URL(), origin.URL
	f := gateway.StartFleet(t, s, "a", "b", "c")
	return &faulty{&bench{f, f[0], f[1], f[2], redis, origin}, proxy}
}

// faults are the disturbances of Redis, each with its repair.
var faults = []struct {
	name       string
	begin, end func(*faulty)
	unharmed   bool // the gateways need not notice it
}{
	{"stopped", func(f *faulty) { f.redis.Stop() }, func(f *faulty) { f.redis.Restart() }, false},
	{"paused", func(f *faulty) { f.redis.Pause() }, func(f *faulty) { f.redis.Resume() }, false},
	{"restarted empty", func(f *faulty) { f.redis.Restart() }, func(*faulty) {}, true},
	{
		"restarted as a replica that can't be written to",
		func(f *faulty) { f.redis.Restart("--replicaof", "127.0.0.1", "1") },
		func(f *faulty) { f.redis.Must("REPLICAOF", "NO", "ONE") }, false,
	},
	{"slow by 2 s", func(f *faulty) { f.proxy.Delay(2 * time.Second) }, func(f *faulty) { f.proxy.Heal() }, false},
	{"reset in mid-reply", func(f *faulty) { f.proxy.ResetAfter(400) }, func(f *faulty) { f.proxy.Heal() }, false},
	{"ended in mid-reply", func(f *faulty) { f.proxy.CloseAfter(400) }, func(f *faulty) { f.proxy.Heal() }, false},
	{"refusing connections", func(f *faulty) { f.proxy.Refuse() }, func(f *faulty) { f.proxy.Heal() }, false},
	{"answering with another key's value", func(f *faulty) { f.proxy.Replace(f.anotherReply()) }, func(f *faulty) { f.proxy.Heal() }, false},
	{"answering with bytes that are no reply", func(f *faulty) { f.proxy.Replace([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, func(f *faulty) { f.proxy.Heal() }, false},
}

// anotherReply is Redis's reply to the lookup of another object.
func (f *faulty) anotherReply() []byte {
	fields := f.objects()["/another/key"]
	return fmt.Appendf(nil, "*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(fields.index), fields.index, len(fields.value), fields.value)
}

// object is an object of one variant in Redis.
type object struct{ key, index, field, value string }

// objects returns the objects in Redis, by path.
func (b *bench) objects() map[string]object {
	found := make(map[string]object)
	for _, key := range b.redis.Keys("penstock:{") {
		if strings.Contains(key, "{fleet}") || !strings.HasSuffix(key, "}") {
			continue
		}
		o := object{key: key}
		list, _ := b.redis.Must("HGETALL", key).([]any)
		for i := 0; i+1 < len(list); i += 2 {
			name, _ := list[i].(string)
			value, _ := list[i+1].(string)
			if name == "i" {
				o.index = value
			} else if strings.HasPrefix(name, "v") {
				o.field, o.value = name, value
			}
		}
		for _, call := range b.origin.Calls("") {
			if strings.Contains(o.value, Body(call.Host, call.Path, "", 1)) {
				found[call.Path] = o
			}
		}
	}
	return found
}

// TestFaults disturbs Redis under load. No client notices, and afterwards the instances share
// responses again.
func TestFaults(t *testing.T) {
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			f := startFaulty(t, Setup{Tier: "timeout: 100ms"})
			hot := []Request{{Path: "/another/key"}}
			for n := range 10 {
				hot = append(hot, Request{Path: fmt.Sprintf("/hot/%d", n)})
			}
			for _, q := range hot {
				sound(t, q, f.a.Do(q))
				eventually(t, "b has "+q.Path+" in its cache", slack, func() bool { // c must look it up in Redis
					a := f.b.Do(q)
					sound(t, q, a)
					return a.Hit()
				})
			}
			ask := func(phase string) func(n int) Answer {
				return func(n int) Answer {
					q := hot[n/2%len(hot)]
					if n%2 == 0 {
						q = Request{Path: fmt.Sprintf("/%s/%d", phase, n)}
					}
					a := f.Fleet[n%3].Do(q)
					if a.Err = a.Wrong(q); a.Err != nil {
						t.Errorf("%s: %v", phase, a.Err)
					}
					return a
				}
			}
			const rate = 150
			before := Times(Load(rate, size(200*time.Millisecond, 2*time.Second), ask("before")))
			fault.begin(f)
			during := Times(Load(rate, size(600*time.Millisecond, 5*time.Second), ask("during")))
			if !fault.unharmed {
				for _, i := range f.Fleet {
					redisIs(t, i, "degraded")
				}
			}
			fault.end(f)
			after := Times(Load(rate, size(200*time.Millisecond, 2*time.Second), ask("after")))
			for _, i := range f.Fleet {
				redisIs(t, i, "up")
			}
			f.Meet(t)
			q := Request{Path: "/shared/again"}
			sound(t, q, f.a.Do(q))
			hit(t, f.b, q, 1)
			hit(t, f.c, q, 1)
			if worst := during[len(during)-1]; worst > 1500*time.Millisecond {
				t.Errorf("the slowest response took %v; the timeout is 100ms", worst)
			}
			t.Logf("median/p99/worst before: %v, during: %v, after: %v", spread(before), spread(during), spread(after))
		})
	}
}

func spread(times []time.Duration) string {
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	return fmt.Sprintf("%v/%v/%v", round(Quantile(times, 0.5)), round(Quantile(times, 0.99)), round(times[len(times)-1]))
}

// TestPausedRedisCostsItsTimeout compares the times of misses without Redis, with Redis, while
// Redis is paused, and after the instance has given it up.
func TestPausedRedisCostsItsTimeout(t *testing.T) {
	const timeout = 100 * time.Millisecond
	margin := 60 * time.Millisecond // the delay of a busy machine; the log has the figures
	b := three(t, Setup{Tier: "timeout: " + timeout.String()})
	without := gateway.Start(t, "without", Setup{Origin: b.origin.URL})
	const rate = 200
	length := size(time.Second, 10*time.Second)
	measure := func(name string, length time.Duration, to ...*Instance) []time.Duration {
		times := Times(Load(rate, length, func(n int) Answer {
			q := Request{Path: fmt.Sprintf("/%s/%d", name, n)}
			a := to[n%len(to)].Do(q)
			if err := a.Wrong(q); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return a
		}))
		t.Logf("%-10s %v", name, spread(times))
		return times
	}
	t.Log("median/p99/worst of misses")
	none := measure("without", length, without)
	measure("healthy", length, b.Fleet...)
	b.redis.Pause()
	paused := measure("paused", length, b.Fleet...)
	for _, i := range b.Fleet {
		redisIs(t, i, "degraded")
	}
	open := measure("skipped", length, b.Fleet...)
	b.redis.Resume()
	if p := Quantile(paused, 0.99); p > Quantile(none, 0.99)+timeout+margin {
		t.Errorf("p99 with Redis paused is %v, without Redis %v; the timeout is %v", p, Quantile(none, 0.99), timeout)
	}
	if p := Quantile(open, 0.99); p > Quantile(none, 0.99)+margin {
		t.Errorf("p99 after Redis was given up is %v, without Redis %v", p, Quantile(none, 0.99))
	}
}

// TestOneRequestLosesOneTimeout sends requests one after the other. The first ones meet a paused
// Redis before any instance knows of the pause.
func TestOneRequestLosesOneTimeout(t *testing.T) {
	const timeout, margin = 300 * time.Millisecond, 200 * time.Millisecond
	b := three(t, Setup{Tier: "timeout: " + timeout.String()})
	stored := Request{Path: "/stored"}
	sound(t, stored, b.a.Do(stored))
	hit(t, b.a, stored, 1)
	b.redis.Pause()
	for n := range 6 {
		q := Request{Path: fmt.Sprintf("/cold/%d", n)}
		a := b.a.Do(q)
		sound(t, q, a)
		t.Logf("request %d: %v", n, a.Took)
		if a.Took > timeout+margin {
			t.Errorf("request %d took %v; the timeout is %v", n, a.Took, timeout)
		}
		if a = b.a.Do(stored); !a.Hit() || a.Took > margin {
			t.Errorf("a response in memory: %v", a)
		}
	}
	b.redis.Resume()
}

// TestSpoiltValues changes a value in Redis. It counts as a miss, and its replacement is valid.
func TestSpoiltValues(t *testing.T) {
	b := three(t, Setup{})
	for _, c := range []struct {
		name  string
		spoil func(o, other object) []string
	}{
		{"index and value of another key", func(o, other object) []string { return []string{"i", other.index, o.field, other.value} }},
		{"value of another key", func(o, other object) []string { return []string{o.field, other.value} }},
		{"index of another key", func(o, other object) []string { return []string{"i", other.index} }},
		{"value cut short", func(o, _ object) []string { return []string{o.field, o.value[:len(o.value)/2]} }},
		{"index cut short", func(o, _ object) []string { return []string{"i", o.index[:len(o.index)-1]} }},
		{"empty value", func(o, _ object) []string { return []string{o.field, ""} }},
		{"flipped bit in the body", func(o, _ object) []string { return []string{o.field, flip(o.value, len(o.value)-20)} }},
		{"flipped bit in the middle", func(o, _ object) []string { return []string{o.field, flip(o.value, len(o.value)/2)} }},
		{"other version of the form", func(o, _ object) []string { return []string{o.field, flip(o.value, 0)} }},
		{"other version of the index", func(o, _ object) []string { return []string{"i", flip(o.index, 1)} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := Request{Path: "/spoilt/" + strings.ReplaceAll(c.name, " ", "-")}
			other := Request{Path: q.Path + "-other"}
			sound(t, q, b.a.Do(q))
			sound(t, other, b.a.Do(other))
			hit(t, b.b, other, 1)
			eventually(t, "both are in Redis", 5*time.Second, func() bool { o := b.objects(); return o[q.Path].key != "" && o[other.Path].key != "" })
			objects := b.objects()
			o := objects[q.Path]
			b.redis.Must(append([]string{"HSET", o.key}, c.spoil(o, objects[other.Path])...)...)
			if a := b.b.Do(q); a.Wrong(q) != nil || a.Hit() {
				t.Fatalf("%v, %v", a.Wrong(q), a)
			}
			b.asked(t, q.Path, 2)
			hit(t, b.c, q, 1)
			b.asked(t, q.Path, 2)
			hit(t, b.c, other, 1)
			b.asked(t, other.Path, 1)
		})
	}
	for _, i := range b.Fleet {
		redisIs(t, i, "up")
	}
}

// flip changes one bit of the byte at i.
func flip(s string, i int) string {
	b := []byte(s)
	b[i] ^= 4
	return string(b)
}
