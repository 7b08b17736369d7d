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

// encodeTargets writes targets one after the other: kind, and value and label each with its length in front.
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

// member names a target in the sets of marks. The first five bytes name its floor: the kind, whether soft, and the cell.
func member(t store.Target, soft bool) string {
	how := byte('h')
	if soft {
		how = 's'
	}
	return fmt.Sprintf("%d%c%03x:%s", t.Kind, how, t.Cell(), t.Value)
}

// memberMark undoes member; the mark is of a floor when there is no value.
func memberMark(s string) (m store.Mark, err error) {
	if len(s) < 5 || len(s) > 5 && s[5] != ':' {
		return m, fmt.Errorf("shared: mark %.50q", s)
	}
	cell, err := strconv.ParseUint(s[2:5], 16, 12)
	if err != nil {
		return m, fmt.Errorf("shared: mark %.50q: %w", s, err)
	}
	m = store.Mark{Target: store.Target{Kind: store.TargetKind(s[0] - '0')}, Cell: uint16(cell), Soft: s[1] == 's', Floor: len(s) == 5}
	if !m.Floor {
		m.Target.Value = s[6:]
	}
	return m, nil
}

// notice is a purge as the stream tells of it.
type notice struct {
	store.Purge
	to, id string // who waits for word that it is applied, and under which name; "" for nobody
}

// parseNotice reads an entry of the stream. Of one that can't be read it says that everything is purged.
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

// modeFull is the mode in which scriptSync sends the state of the history.
const modeFull = "full"

// standing is what scriptSync answers.
type standing struct {
	mode    string // same, replay or modeFull
	place   place
	history store.History // with mode full
	gone    uint64        // with mode full: the newest purge of an object that has been forgotten
}

// place is how far an instance has come in the history.
type place struct {
	era, seq uint64
	turn     string
	run      string // of the process of the server
}

func parseStanding(reply []any) (s standing, err error) {
	if len(reply) < 5 {
		return s, fmt.Errorf("shared: reply of %d parts about the purges", len(reply))
	}
	var head [5]string
	for i := range head {
		head[i], _ = reply[i].(string)
	}
	s.mode, s.place.turn, s.place.run = head[0], head[3], head[4]
	if s.place.era, err = strconv.ParseUint(head[1], 10, 64); err != nil {
		return s, fmt.Errorf("shared: era of the purges: %w", err)
	}
	if s.place.seq, err = strconv.ParseUint(head[2], 10, 64); err != nil {
		return s, fmt.Errorf("shared: number of the purges: %w", err)
	}
	if len(reply) < 9 {
		return s, nil
	}
	s.history.Epoch = store.FleetEpoch(s.place.era, s.place.seq)
	times := pairs(reply[8])
	facts := pairs(reply[5])
	s.gone, _ = strconv.ParseUint(facts["gone"], 10, 64)
	for name, value := range facts {
		if name, ok := strings.CutPrefix(name, "f:"); ok {
			seq, at, _ := strings.Cut(value, " ")
			s.history.Marks = append(s.history.Marks, s.mark(name, seq, at))
		}
	}
	for _, set := range reply[6:8] {
		for name, seq := range pairs(set) {
			s.history.Marks = append(s.history.Marks, s.mark(name, seq, times[name]))
		}
	}
	return s, nil
}

// mark is a member of a set with its seq and time. One that can't be read stands for everything up to now.
func (s *standing) mark(name, seq, at string) store.Mark {
	m, err := memberMark(name)
	n, errSeq := strconv.ParseUint(seq, 10, 64)
	if err != nil || errSeq != nil {
		return store.Mark{Seq: s.history.Epoch.Seq}
	}
	m.Seq, m.At = store.FleetEpoch(0, n).Seq, parseTime(at)
	return m
}

// pairs makes a map of a reply whose elements are name, value, name, value.
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
