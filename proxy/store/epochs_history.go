package store

import "time"

// History is a snapshot of the fleet's purges. The fleet keeps it beside the stream of purges. If
// an instance has missed some of the stream, the snapshot tells it their targets.
type History struct {
	Epoch   Epoch
	Entries []PurgeEntry
}

// PurgeEntry is the newest purge of one target, or of all forgotten targets that share a floor.
type PurgeEntry struct {
	Target Target // only Kind is set if Floor is true
	Floor  bool
	Cell   uint16 // cell of the floor
	Seq    uint64
	Soft   bool
	At     time.Time
}

// Restore takes over a history. If the history belongs to the current era, Restore adds the purges
// that e does not know. If it belongs to another era, that era begins, and every response that was
// fetched before is Hard from then on. own is as for Apply.
func (e *Epochs) Restore(h History, own ...Purge) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.Now().Era != h.Epoch.Era {
		e.begin(h.Epoch.Era)
	}
	e.fleet = true
	now := e.now()
	for _, m := range h.Entries {
		e.restore(m, purgeEvent{seq: m.Seq, soft: m.Soft, at: m.At, noted: now})
	}
	e.advance(e.noteOwn(Epoch{h.Epoch.Era, max(e.Now().Seq, h.Epoch.Seq)}, own))
}

func (e *Epochs) restore(m PurgeEntry, b purgeEvent) {
	if b.at.After(b.noted) {
		b.at = b.noted
	}
	if !m.Floor {
		e.record(m.Target, b)
		return
	}
	e.floor(m.Target.Kind, m.Cell%floorCells, b.soft).record(b)
	if m.Target.Kind == TargetTag {
		e.anyTag.record(b)
	}
}

// floor returns the floor of a kind of target in one cell.
func (e *Epochs) floor(kind TargetKind, cell uint16, soft bool) *lastPurges {
	switch kind {
	case TargetRoute:
		return &e.routes.floors[cell]
	case TargetHost:
		return &e.hosts.floors[cell]
	case TargetPrefix:
		return &e.prefixes.floors[0]
	case TargetTag:
		return &e.tags.floors[cell]
	case TargetURL:
		return &e.urls.floors[cell]
	case TargetObject:
		if soft {
			return &e.softObjects.floors[cell]
		}
		return &e.hardObjects.floors[cell]
	}
	return &e.all
}
