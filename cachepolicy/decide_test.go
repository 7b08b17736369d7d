package cachepolicy

import (
	"fmt"
	"testing"
	"time"
)

func TestDecide(t *testing.T) {
	runTable(t, "decide.table", 4, func(in []string) string {
		q := tableRequest(in[0])
		r, chance := tableRules(in[3])
		stored, _ := storedBy(in[1], in[3], q)
		return printDecision(r.Decide(q, stored, t0.Add(duration(in[2])), chance))
	})
}

func printDecision(d Decision) string {
	s := d.Action.String()
	if d.Reason != ReasonNone {
		s += " " + d.Reason.String()
	}
	if d.Age != 0 || d.TTL != 0 {
		s += fmt.Sprintf(" age=%s ttl=%s", d.Age, d.TTL)
	}
	if d.HasAsk {
		s += fmt.Sprintf(" ask=%d-%d", d.Ask.First, d.Ask.Last)
	}
	return s
}

func TestDecideAllocatesNothing(t *testing.T) {
	for _, column := range []string{
		"GET /",
		"GET / [Cache-Control: max-age=5, min-fresh=2, max-stale, stale-if-error=9, no-transform] [Accept-Encoding: gzip]",
		`GET / [Cache-Control: extension="max-age=0", no-cache]`,
		"GET / [Pragma: no-cache] [Range: bytes=0-5]",
		"HEAD / [Cache-Control: only-if-cached]",
	} {
		q := tableRequest(column)
		r, chance := tableRules("swr=30s beta=1 chance=0.5")
		for _, stored := range []string{"-", `200 delay=1s [Cache-Control: max-age=60, must-revalidate] [ETag: "a"]`} {
			m, _ := storedBy(stored, "", q)
			for _, age := range []time.Duration{0, time.Minute, time.Hour} {
				if n := testing.AllocsPerRun(100, func() { r.Decide(q, m, t0.Add(age), chance) }); n != 0 {
					t.Errorf("Decide(%s, %s, +%s) allocates %v times", column, stored, age, n)
				}
			}
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	for name, c := range map[string][3]string{
		"hit":          {"GET / [Accept-Encoding: gzip]", "200 [Cache-Control: max-age=60]", "1s"},
		"hit-early":    {"GET / [Accept-Encoding: gzip]", "200 delay=50ms [Cache-Control: max-age=60]", "1s"},
		"miss":         {"GET /", "-", "1s"},
		"stale":        {"GET /", `200 [Cache-Control: max-age=60] [ETag: "a"]`, "2m"},
		"request-cc":   {"GET / [Cache-Control: max-age=30, max-stale=10]", "200 [Cache-Control: max-age=60]", "1s"},
		"part-covered": {"GET / [Range: bytes=2-5]", "206 [Cache-Control: max-age=60] [Content-Range: bytes 0-9/100] [Content-Length: 10]", "1s"},
	} {
		b.Run(name, func(b *testing.B) {
			q := tableRequest(c[0])
			r, _ := tableRules("beta=1")
			m, _ := storedBy(c[1], "", q)
			now := t0.Add(duration(c[2]))
			b.ReportAllocs()
			for b.Loop() {
				r.Decide(q, m, now, 0.5)
			}
		})
	}
}
