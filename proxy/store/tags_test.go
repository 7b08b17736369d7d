package store_test

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/proxy/store"
)

// TestMoreTags checks that every purge by tag hits a response with dropped tags, even a purge that
// is known only by a floor of the history.
func TestMoreTags(t *testing.T) {
	_, cut := article("", "kept", store.MoreTags)
	_, whole := article("", "kept")
	for _, c := range []struct {
		name  string
		purge func(*store.Epochs)
		want  store.Fate
	}{
		{"another tag", func(e *store.Epochs) { local(e, false, store.TargetTag, "other") }, store.Hard},
		{"another tag, soft", func(e *store.Epochs) { local(e, true, store.TargetTag, "other") }, store.Soft},
		{"another route", func(e *store.Epochs) { local(e, false, store.TargetRoute, "other") }, store.Alive},
		{"a forgotten tag", func(e *store.Epochs) {
			e.Restore(store.History{Epoch: store.Epoch{Era: e.Now().Era, Seq: 1 << store.LocalBits}, Entries: []store.PurgeEntry{
				{Target: store.Target{Kind: store.TargetTag}, Floor: true, Cell: 1, Seq: 1 << store.LocalBits},
			}})
		}, store.Hard},
	} {
		e := store.NewEpochs(nil)
		born := e.Now()
		c.purge(e)
		if got, _ := e.SubjectFate(born, cut); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if got, _ := e.SubjectFate(born, whole); got != store.Alive {
			t.Errorf("%s: a response with all its tags is %v", c.name, got)
		}
		if got, _ := e.SubjectFate(e.Now(), cut); got != store.Alive {
			t.Errorf("%s: a later response is %v", c.name, got)
		}
	}
}

func local(e *store.Epochs, soft bool, kind store.TargetKind, value string) {
	e.ApplyLocal(store.Purge{Soft: soft, Targets: []store.Target{{Kind: kind, Value: value}}})
}

// TestTooLongTargets checks that a target that is too long is replaced by a broader one.
func TestTooLongTargets(t *testing.T) {
	long := strings.Repeat("x", store.MaxTargetValue)
	for _, c := range []struct{ target, want store.Target }{
		{store.URLTarget("h", "/p", "q"), store.URLTarget("h", "/p", "q")},
		{store.URLTarget("h", "/p", long), store.Target{Kind: store.TargetPrefix, Value: "h/p"}},
		{store.URLTarget("h", "/"+long, "q"), store.Target{Kind: store.TargetPrefix, Value: ("h/" + long)[:store.MaxTargetValue]}},
		{store.Target{Kind: store.TargetTag, Value: "t" + long}, store.Target{Kind: store.TargetTag, Value: ("t" + long)[:store.MaxTargetValue]}},
		{store.Target{Kind: store.TargetRoute, Value: "t" + long}, store.Target{Kind: store.TargetAll}},
	} {
		if got := c.target.Within(); got != c.want || got.Check() != nil {
			t.Errorf("%.40v: %.40v, want %.40v", c.target, got, c.want)
		}
	}
}
