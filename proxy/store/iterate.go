package store

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/penstock/penstock/cachepolicy"
)

// All yields the objects that are held, in no order. No lock is held meanwhile: of what comes and goes while it runs, some is seen and some is not.
func (m *Memory) All(yield func(*Object) bool) {
	var objects []*Object
	for i := range m.shards {
		objects = m.shards[i].appendObjects(objects[:0])
		for _, o := range objects {
			if !yield(o) {
				return
			}
		}
	}
}

func (s *shard) appendObjects(objects []*Object) []*Object {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, it := range s.items {
		if o := it.object.Load(); o != nil {
			objects = append(objects, o)
		}
	}
	return objects
}

// Purged removes the objects that a hard purge names one by one, as far as they were born before it: Epochs forgets such purges after a while. What
// other purges hit stays until it is looked up, expires, or makes room.
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

// key is that of the object with a hash.
func (m *Memory) key(hash [16]byte) (k cachepolicy.Key, ok bool) {
	id := binary.LittleEndian.Uint64(hash[:8])
	s := m.shard(id)
	s.mu.RLock()
	defer s.mu.RUnlock()
	it := s.items[id]
	if it == nil {
		return k, false
	}
	k = it.object.Load().Key
	return k, k.Hash == hash
}

// purge removes the variants that were born before a moment.
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
		_ = m.Delete(context.Background(), k) // its only error is that all is closed, and gone
	}
}
