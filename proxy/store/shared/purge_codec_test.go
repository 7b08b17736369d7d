package shared

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/penstock/penstock/proxy/store"
)

func drawTarget(t *rapid.T) store.Target {
	return store.Target{
		Kind:  store.TargetKind(rapid.IntRange(0, 6).Draw(t, "kind")),
		Value: string(rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "value")),
		Label: rapid.String().Draw(t, "label"),
	}
}

func TestTargetsCodec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Custom(drawTarget), 1, 5).Draw(t, "targets")
		got, err := decodeTargets(encodeTargets(want))
		if err != nil || !cmp.Equal(got, want) {
			t.Fatalf("%v, %v, want %v", got, err, want)
		}
	})
}

func TestMemberCodec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		target, soft := rapid.Custom(drawTarget).Draw(t, "target"), rapid.Bool().Draw(t, "soft")
		target.Label = ""
		if target.Kind == store.TargetPrefix || target.Kind == store.TargetURL {
			target.Value = "example.test/" + target.Value
		}
		name := member(target, soft)
		want := store.PurgeEntry{Target: target, Cell: target.Cell(), Soft: soft}
		if got, err := memberEntry(name); err != nil || got != want {
			t.Fatalf("mark of %q: %+v, %v, want %+v", name, got, err, want)
		}
		want.Floor, want.Target.Value = true, ""
		if got, err := memberEntry(name[:5]); err != nil || got != want {
			t.Fatalf("floor of %q: %+v, %v, want %+v", name, got, err, want)
		}
	})
}

// FuzzNotice checks that no entry of the stream causes a panic, and that a malformed entry purges
// everything.
func FuzzNotice(f *testing.F) {
	f.Add("5-0", "1", "1700000000000", "0", encodeTargets([]store.Target{{Kind: store.TargetTag, Value: "x"}}))
	f.Add("5-0", "1", "", "1", "\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
	f.Add("x", "", "", "", "")
	f.Fuzz(func(t *testing.T, id, era, at, soft, targets string) {
		n, err := parseNotice(redis.XMessage{ID: id, Values: map[string]any{"era": era, "at": at, "soft": soft, "targets": targets}})
		if err != nil {
			return
		}
		if len(n.Targets) == 0 {
			t.Fatal("a purge of nothing")
		}
		if _, err := decodeTargets(targets); err != nil && (n.Soft || n.Targets[0].Kind != store.TargetAll) {
			t.Fatalf("an unreadable notice purges %v, soft %v", n.Targets, n.Soft)
		}
	})
}

func TestMalformedEntriesHitEverything(t *testing.T) {
	e := store.NewEpochs(nil)
	s, err := parseSyncReply([]any{
		modeFull, "7", "5", "1", "run", []any{},
		[]any{"f:4hzzz", "3 0"}, []any{"", "2", "4h000:x", "x"}, []any{}, []any{},
	})
	if err != nil || len(s.history.Entries) != 3 {
		t.Fatalf("%+v, %v", s, err)
	}
	for _, m := range s.history.Entries {
		e.Restore(store.History{Epoch: store.FleetEpoch(uint64(7+m.Seq), 5), Entries: []store.PurgeEntry{m}})
		now := e.Now()
		if f, _ := e.SubjectFate(store.Epoch{Era: now.Era, Seq: now.Seq - 1}, store.Subject{}); f != store.Hard {
			t.Errorf("%+v: %v", m, f)
		}
	}
}

func TestBadReplies(t *testing.T) {
	for _, reply := range [][]any{nil, {"full"}, {"same", "x", "1", "1", "r"}, {"same", "1", nil, "1", "r"}} {
		if s, err := parseSyncReply(reply); err == nil {
			t.Errorf("%v: %+v", reply, s)
		}
	}
	for _, reply := range [][]any{nil, {"1", "2"}, {"1", "x", []any{}}, {nil, "2", []any{}}} {
		if e, _, err := parsePublished(reply); err == nil {
			t.Errorf("%v: %+v", reply, e)
		}
	}
	if got := parseTime("x"); got != (time.Time{}) {
		t.Error(got)
	}
}
