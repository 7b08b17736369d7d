package store

import "time"

// History is a state of the fleet's history of purges, as it is kept beside the stream of purges: with it an instance that has missed some knows
// whom they hit.
type History struct {
	Epoch Epoch
	Marks []Mark
}

// Mark is the newest purge of one target, or of the targets of a kind that have been forgotten.
type Mark struct {
	Target Target // its kind alone where Floor is set
	Floor  bool
	Cell   uint16 // of a floor
	Seq    uint64
	Soft   bool
	At     time.Time
}

// Restore takes over a history. In the current era it adds what was not known yet; another era begins anew with it, and all that was born before
// is hard from then on.
func (e *Epochs) Restore(h History) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.Now().Era != h.Epoch.Era {
		e.begin(h.Epoch.Era)
	}
	e.fleet = true
	now := e.now()
	for _, m := range h.Marks {
		e.restore(m, blow{seq: m.Seq, soft: m.Soft, at: m.At, noted: now})
	}
	e.advance(Epoch{h.Epoch.Era, max(e.Now().Seq, h.Epoch.Seq)})
}

func (e *Epochs) restore(m Mark, b blow) {
	if b.at.After(b.noted) {
		b.at = b.noted
	}
	if !m.Floor {
		e.strike(m.Target, b)
		return
	}
	e.floor(m.Target.Kind, m.Cell%floorCells, b.soft).strike(b)
}

// floor is one of a kind's floors.
func (e *Epochs) floor(kind TargetKind, cell uint16, soft bool) *mark {
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
			return &e.faded.floors[cell]
		}
		return &e.objects.floors[cell]
	}
	return &e.all
}
