package cachepolicy

import (
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
)

func TestAppendCacheStatus(t *testing.T) {
	for want, o := range map[string]CacheStatus{
		"penstock; hit":                   {Hit: true},
		"penstock; hit; ttl=30":           {Hit: true, HasTTL: true, TTL: 30*time.Second + 900*time.Millisecond},
		"penstock; hit; ttl=-1":           {Hit: true, HasTTL: true, TTL: -time.Millisecond},
		"penstock; hit; ttl=-5":           {Hit: true, HasTTL: true, TTL: -5 * time.Second},
		"penstock; hit; detail=max-stale": {Hit: true, Reason: ReasonMaxStale, Forward: ForwardStale, ForwardStatus: 200},
		"penstock; fwd=uri-miss; fwd-status=200; stored; ttl=60": {
			Forward: ForwardURIMiss, ForwardStatus: 200, Stored: true, HasTTL: true, TTL: time.Minute},
		"penstock; fwd=vary-miss; collapsed":        {Forward: ForwardVaryMiss, Collapsed: true},
		"penstock; fwd=bypass; detail=request-body": {Forward: ForwardBypass, Reason: ReasonBody},
		`penstock; fwd=miss; key="a\"b\\c?"`:        {Forward: ForwardMiss, Key: "a\"b\\c\x00"},
		"penstock":                                  {},
	} {
		got := AppendCacheStatus([]byte("up; hit, "), "penstock", o)
		if string(got) != "up; hit, "+want {
			t.Errorf("%+v:\n got %s\nwant %s", o, got, want)
		}
		if list, err := httpsfv.UnmarshalList([]string{string(got)}); err != nil || len(list) != 2 {
			t.Errorf("%s is no list of two: %v", got, err)
		}
	}
}

func TestAppendCacheStatusAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 256)
	o := CacheStatus{Forward: ForwardStale, ForwardStatus: 304, Stored: true, HasTTL: true, TTL: time.Minute, Key: "k", Reason: ReasonValidated}
	if n := testing.AllocsPerRun(100, func() { AppendCacheStatus(buf, "penstock", o) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAppendCacheStatus(b *testing.B) {
	buf := make([]byte, 0, 256)
	for b.Loop() {
		AppendCacheStatus(buf, "penstock", CacheStatus{Hit: true, HasTTL: true, TTL: time.Minute})
	}
}
