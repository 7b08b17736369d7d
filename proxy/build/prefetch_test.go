package build

import (
	"fmt"
	"testing"
	"time"
)

func TestPrefetchesAreBounded(t *testing.T) {
	now := time.Unix(1e9, 0)
	p := newPrefetcher(func() time.Time { return now })
	if !p.enter("/a") || p.enter("/a") {
		t.Error("the same page is looked at twice within the pause")
	}
	now = now.Add(prefetchPause)
	if !p.enter("/a") {
		t.Error("after the pause it is not looked at")
	}
	n := 2
	for i := range 100 {
		if p.enter(fmt.Sprint("/", i)) {
			n++
		}
	}
	if n != prefetchesAtOnce {
		t.Errorf("%d at once", n)
	}
	p.leave()
	if !p.enter("/b") {
		t.Error("there is room, and it is not taken")
	}
	for range prefetchesAtOnce {
		p.leave()
	}
	p.close()
	if p.enter("/c") {
		t.Error("it goes on after its end")
	}
}
