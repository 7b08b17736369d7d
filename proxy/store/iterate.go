package store

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/penstock/penstock/cachepolicy"
)

// All yields the stored objects in no particular order. It holds no lock while yield runs, so it
// may or may not see objects that are added or removed meanwhile.
func (m *Memory) All(yield func(*Object) bool) {
	var objects []*Object
	for i := range m.shards {
		objects = m.appendObjects(objects[:0], &m.shards[i])
		for _, o := range objects {
			if !yield(o) {
				return
			}
		}
	}
}

func (m *Memory) appendObjects(objects []*Object, s *shard) []*Object {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, slot := range s.index.slots {
		if slot == 0 {
			continue
		}
		r := m.items.at(slot.item()).ref
		if i, ok := r.large(); ok {
			objects = append(objects, m.large.at(i).Load())
		} else {
			objects = append(objects, m.unpack(r))
		}
	}
	return objects
}

// Purged deletes the objects that a hard purge names by key, if they were fetched before the purge.
// This is necessary because Epochs forgets such purges after ObjectWindow. An object that another
// kind of target hits stays until a lookup finds it purged, it expires, or it is evicted.
func (m *Memory) Purged(p Purge) {
	if p.Soft {
		return
	}
	for _, t := range p.Targets {
		if t.Kind != TargetObject {
			continue
		}
		hash, _ := objectOf(t.Value)
		if k, ok := m.key(hash); ok {
			m.purge(k, p.Epoch)
		}
	}
}

// key returns the key of the stored object with the given hash.
func (m *Memory) key(hash [16]byte) (k cachepolicy.Key, ok bool) {
	id := binary.LittleEndian.Uint64(hash[:8])
	s := m.shard(id)
	s.mu.RLock()
	defer s.mu.RUnlock()
	at := s.index.find(&m.items, id)
	if at < 0 {
		return k, false
	}
	r := m.items.at(s.index.slots[at].item()).ref
	if i, ok := r.large(); ok {
		k = m.large.at(i).Load().Key
	} else {
		k = recordKey(m.chunks.from(r))
	}
	return k, k.Hash == hash
}

// purge removes the variants whose fill began before at.
func (m *Memory) purge(k cachepolicy.Key, at Epoch) {
	empty := false
	err := m.change(k, func(o *Object) (*Object, error) {
		if o == nil {
			return nil, nil
		}
		left := slices.DeleteFunc(slices.Clone(o.Variants), func(e *Entry) bool { return e.Epoch.Era != at.Era || e.Epoch.Seq < at.Seq })
		empty = len(left) == 0
		if empty || len(left) == len(o.Variants) {
			return nil, nil
		}
		return &Object{Key: k, Variants: left}, nil
	})
	if err == nil && empty {
		_ = m.Delete(context.Background(), k) // the only error is ErrClosed, and then the object is gone anyway
	}
}
