package shared

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/penstock/penstock/proxy/store"
)

var errTargets = errors.New("shared: a purge in the stream is malformed")

// encodeTargets encodes targets in sequence: the kind, then value and label, each preceded by its
// length.
func encodeTargets(targets []store.Target) string {
	var b []byte
	for _, t := range targets {
		b = append(b, byte(t.Kind))
		for _, s := range [...]string{t.Value, t.Label} {
			b = binary.AppendUvarint(b, uint64(len(s)))
			b = append(b, s...)
		}
	}
	return string(b)
}

func decodeTargets(s string) (targets []store.Target, err error) {
	for s != "" {
		t := store.Target{Kind: store.TargetKind(s[0])}
		s = s[1:]
		for _, part := range [...]*string{&t.Value, &t.Label} {
			n, size := binary.Uvarint([]byte(s[:min(len(s), binary.MaxVarintLen64)]))
			if size <= 0 || n > uint64(len(s)-size) {
				return nil, errTargets
			}
			*part, s = s[size:size+int(n)], s[size+int(n):]
		}
		targets = append(targets, t)
	}
	if len(targets) == 0 {
		return nil, errTargets
	}
	return targets, nil
}

// member returns the name of a target in the sets of marks. Its first five bytes name the target's
// floor: the kind, whether the purge is soft, and the cell.
func member(t store.Target, soft bool) string {
	how := byte('h')
	if soft {
		how = 's'
	}
	return fmt.Sprintf("%d%c%03x:%s", t.Kind, how, t.Cell(), t.Value)
}

// memberEntry is the inverse of member. If the name has no value, the entry is a floor.
func memberEntry(s string) (m store.PurgeEntry, err error) {
	if len(s) < 5 || len(s) > 5 && s[5] != ':' {
		return m, fmt.Errorf("shared: malformed purge entry %.50q", s)
	}
	cell, err := strconv.ParseUint(s[2:5], 16, 12)
	if err != nil {
		return m, fmt.Errorf("shared: malformed purge entry %.50q: %w", s, err)
	}
	m = store.PurgeEntry{Target: store.Target{Kind: store.TargetKind(s[0] - '0')}, Cell: uint16(cell), Soft: s[1] == 's', Floor: len(s) == 5}
	if !m.Floor {
		m.Target.Value = s[6:]
	}
	return m, nil
}

// notice is a purge in the stream.
type notice struct {
	store.Purge
	// The instance that waits for acknowledgements, and the id of its wait; otherwise "".
	to, id string
}

// parseNotice decodes an entry of the stream. If its targets are malformed, the result is a purge
// of everything.
func parseNotice(m redis.XMessage) (n notice, err error) {
	field := func(name string) string { s, _ := m.Values[name].(string); return s }
	number, _, _ := strings.Cut(m.ID, "-")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return n, fmt.Errorf("shared: entry %q of the stream of purges: %w", m.ID, err)
	}
	era, err := strconv.ParseUint(field("era"), 10, 64)
	if err != nil {
		return n, fmt.Errorf("shared: entry %q of the stream of purges has no era: %w", m.ID, err)
	}
	n.Epoch = store.FleetEpoch(era, seq)
	n.At, n.Soft = parseTime(field("at")), field("soft") == "1"
	n.to, n.id = field("to"), field("id")
	if n.Targets, err = decodeTargets(field("targets")); err != nil {
		n.Soft, n.Targets = false, everything()
	}
	return n, nil
}

func everything() []store.Target { return []store.Target{{Kind: store.TargetAll}} }

func parseTime(ms string) time.Time {
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil || n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(n)
}

// modeFull is the mode in which scriptSync returns the contents of the history.
const modeFull = "full"

// syncReply is the reply of scriptSync.
type syncReply struct {
	mode     string // same, replay or modeFull
	position position
	members  []string
	history  store.History // only in modeFull
	gone     uint64        // only in modeFull: the newest purge of a forgotten object
}

// position is the point in the history up to which an instance has applied purges.
type position struct {
	era, seq uint64
	turn     string
	run      string // run id of the server process
}

func parseSyncReply(reply []any) (s syncReply, err error) {
	if len(reply) < 6 {
		return s, fmt.Errorf("shared: unexpected sync reply of %d parts", len(reply))
	}
	var head [5]string
	for i := range head {
		head[i], _ = reply[i].(string)
	}
	s.mode, s.position.turn, s.position.run = head[0], head[3], head[4]
	if s.position.era, err = strconv.ParseUint(head[1], 10, 64); err != nil {
		return s, fmt.Errorf("shared: era of the purges: %w", err)
	}
	if s.position.seq, err = strconv.ParseUint(head[2], 10, 64); err != nil {
		return s, fmt.Errorf("shared: number of the purges: %w", err)
	}
	s.members = texts(reply[5])
	switch {
	case s.mode != modeFull:
		return s, nil
	case len(reply) < 10:
		return s, fmt.Errorf("shared: unexpected full sync reply of %d parts", len(reply))
	}
	s.history.Epoch = store.FleetEpoch(s.position.era, s.position.seq)
	times := pairs(reply[9])
	facts := pairs(reply[6])
	s.gone, _ = strconv.ParseUint(facts["gone"], 10, 64)
	for name, value := range facts {
		if name, ok := strings.CutPrefix(name, "f:"); ok {
			seq, at, _ := strings.Cut(value, " ")
			s.history.Entries = append(s.history.Entries, s.entry(name, seq, at))
		}
	}
	for _, set := range reply[7:9] {
		for name, seq := range pairs(set) {
			s.history.Entries = append(s.history.Entries, s.entry(name, seq, times[name]))
		}
	}
	return s, nil
}

// entry returns the purge entry of a set member with its seq and time. If it is malformed, the
// result covers everything up to the newest purge.
func (s *syncReply) entry(name, seq, at string) store.PurgeEntry {
	m, err := memberEntry(name)
	n, errSeq := strconv.ParseUint(seq, 10, 64)
	if err != nil || errSeq != nil {
		return store.PurgeEntry{Seq: s.history.Epoch.Seq}
	}
	m.Seq, m.At = store.FleetEpoch(0, n).Seq, parseTime(at)
	return m
}

// pairs returns a map from a reply of alternating names and values.
func pairs(reply any) map[string]string {
	list, _ := reply.([]any)
	m := make(map[string]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		name, _ := list[i].(string)
		value, _ := list[i+1].(string)
		m[name] = value
	}
	return m
}
