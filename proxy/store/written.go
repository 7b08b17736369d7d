package store

import "slices"

// maxPackedVariants is how many variants an object may have that is kept as a record: unpacking makes all of them.
const maxPackedVariants = 4

// write keeps o, as a record if it is small, and says where it is and what it costs. The lock of the shard is held.
func (m *Memory) write(s *shard, o *Object) (ref, int64) {
	if n := o.bodies(); len(o.Variants) <= maxPackedVariants && n < int64(m.chunks.most) {
		b := appendRecord(s.space[:0], o, &m.eras)
		if len(b)+int(n) <= m.chunks.most {
			b = seal(appendBodies(b, o))
			s.space = b
			r, room := m.chunks.take(len(b))
			copy(room, b)
			m.chunks.written(r)
			return r, itemCost + int64(len(b))
		}
		s.space = b[:0]
	}
	o = m.kept(o)
	i := m.large.take()
	m.large.at(i).Store(o)
	return largeRef | ref(i), o.cost()
}

// unwrite lets go of what an item stands for. The lock of its shard is held.
func (m *Memory) unwrite(it *item) {
	if it.ref == 0 {
		return
	}
	if i, ok := it.ref.large(); ok {
		m.large.at(i).Store(nil)
		m.large.give(i)
	} else {
		m.memo.forget(it)
		m.chunks.drop(it.ref, recordSize(m.chunks.from(it.ref)))
	}
	it.ref = 0
}

// kept is o in memory of its own. It may have been made of what is in a chunk, which must not be held on to for it: its head is written anew, and the
// segments that may be parts of a record, by their size, are copied.
func (m *Memory) kept(o *Object) *Object {
	u, _ := unpackHead(slices.Clip(appendRecord(nil, o, &m.eras)), &m.eras)
	for i, e := range u.Variants {
		for j := range e.Representations {
			e.Representations[j].Body.Segments = m.owned(o.Variants[i].Representations[j].Body.Segments)
		}
		e.Uses.Store(o.Variants[i].Uses.Load())
	}
	return &u.Object
}

// owned is the segments with those copied that could be parts of a record, neighbours into one.
func (m *Memory) owned(segments [][]byte) (list [][]byte) {
	for i := 0; i < len(segments); {
		n := 0
		for n < len(segments)-i && len(segments[i+n]) < m.chunks.most {
			n++
		}
		if n > 0 {
			list = append(list, slices.Concat(segments[i:i+n]...))
			i += n
			continue
		}
		list = append(list, segments[i])
		i++
	}
	return list
}

// clean moves what lives in chunks of which most is dead elsewhere, until the dead take no more than they may. Whoever makes waste cleans, so it
// can't grow faster than it is removed.
func (m *Memory) clean() {
	if !m.chunks.wasted() {
		return
	}
	m.cleaning.Lock()
	defer m.cleaning.Unlock()
	for {
		i, b := m.chunks.victim()
		if i == 0 {
			return
		}
		for off := 0; off < len(b); off += recordSize(b[off:]) {
			m.move(refTo(i, off), b[off:])
		}
		m.chunks.written(refTo(i, 0))
	}
}

// move writes the record at old elsewhere if it is alive. A moved object that has been unpacked is unpacked anew, or it would hold on to the old chunk.
func (m *Memory) move(old ref, b []byte) {
	id := recordID(b)
	s := m.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.index.find(&m.items, id)
	if at < 0 {
		return
	}
	it := m.items.at(s.index.slots[at].item())
	if it.ref != old {
		return
	}
	unpacked := m.memo.load(it)
	r, room := m.chunks.take(recordSize(b))
	copy(room, b)
	m.chunks.written(r)
	m.unwrite(it)
	it.ref = r
	if unpacked != nil {
		o := m.unpack(r)
		for i, e := range unpacked.Variants {
			o.Variants[i].Uses.Store(e.Uses.Load())
		}
		m.memo.keep(it, o)
	}
}
