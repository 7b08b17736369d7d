package h1

import (
	"testing"
	"time"

	"github.com/penstock/penstock/proxy/upstream/link"
)

// A line that has just carried a body is not the first choice, and rests where it is the only one.
func TestLinesRest(t *testing.T) {
	s := NewIdle(time.Minute, 10)
	defer s.Close()
	now := time.Now()
	rested, tired := newConnection(&link.Conn{}), newConnection(&link.Conn{})
	rested.kill, tired.kill = func() {}, func() {}
	s.put(rested, false, now)
	s.put(tired, true, now)
	if got := s.take(now, true); got != rested || got.rest(now) > 0 {
		t.Error("the rested line was not taken")
	}
	if got := s.take(now, true); got != tired || got.rest(now) != restTime || got.rest(now.Add(restTime)) > 0 {
		t.Error("the other was not, or does not rest")
	}
	if s.take(now, true) != nil {
		t.Error("there is a third")
	}
}
