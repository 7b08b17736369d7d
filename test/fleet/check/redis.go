package check

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/penstock/penstock/test/redistest"
)

// memory is the maxmemory of the servers. The run's objects never take so much.
const memory = "64mb"

func startRedis(tb testing.TB, kind, policy string) (*redistest.Deployment, error) {
	return redistest.StartKind(tb, kind, "--maxmemory", memory, "--maxmemory-policy", policy)
}

// fill has a server run out of memory until undo is called.
func fill(s *redistest.Server) (undo func()) {
	var used int
	info, _ := s.Do("INFO", "memory")
	for line := range strings.Lines(fmt.Sprint(info)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
			used, _ = strconv.Atoi(n)
		}
	}
	_, _ = s.Do("CONFIG", "SET", "maxmemory", strconv.Itoa(used+200<<10)) // a server that is away is not filled
	key := func(tag, n int) string { return fmt.Sprintf("ballast{%d}%d", tag, n) }
	tag := 0 // one that belongs to this server
	for ; tag < 100; tag++ {
		if _, err := s.Do("SET", key(tag, 0), "x"); err == nil || !strings.HasPrefix(err.Error(), "MOVED") {
			break
		}
	}
	const pieces = 150
	for n := range pieces {
		_, _ = s.Do("SET", key(tag, n), strings.Repeat("x", 10_000), "EX", "60") // it may refuse more
	}
	return func() {
		_, _ = s.Do("CONFIG", "SET", "maxmemory", memory)
		for n := range pieces {
			_, _ = s.Do("DEL", key(tag, n))
		}
	}
}

// noted is who made the purge of a URL with the number seq, as the history in Redis has it. A server that was a primary before may have another purge of that number.
func noted(d *redistest.Deployment, seq, url string) string {
	for _, s := range d.Servers {
		if s.Pid() == 0 {
			continue
		}
		reply, err := s.Do("XRANGE", "penstock:{fleet}:stream", seq+"-0", seq+"-0")
		entries, _ := reply.([]any)
		if err != nil || len(entries) != 1 {
			continue
		}
		entry, _ := entries[0].([]any)
		if len(entry) != 2 {
			continue
		}
		list, _ := entry[1].([]any)
		fields := make(map[any]string)
		for n := 0; n+1 < len(list); n += 2 {
			fields[list[n]], _ = list[n+1].(string)
		}
		if strings.Contains(fields["targets"], url) {
			return fields["to"]
		}
	}
	return ""
}
