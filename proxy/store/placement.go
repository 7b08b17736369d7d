package store

import "slices"

// maxPackedVariants is the largest number of variants in a record. Decoding a record builds all of
// its variants, so an object with more is stored as it is.
const maxPackedVariants = 4

// write stores o, as a record if it is small, and returns its place and its cost in bytes. The
// caller holds the lock of the shard.
func (m *Memory) write(s *shard, o *Object) (ref, int64) {
	if n := o.bodies(); len(o.Variants) <= maxPackedVariants && n < int64(m.chunks.most) {
		b := appendRecord(s.space[:0], o, &m.eraNumbers)
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
	o = m.ownCopy(o)
	i := m.large.take()
	m.large.at(i).Store(o)
	return largeRef | ref(i), o.cost()
}

// keepUses copies the use counts of o to the record that was made from it.
func (m *Memory) keepUses(it *item, o *Object) {
	if _, large := it.ref.large(); large || len(o.Variants) < 2 {
		return
	}
	u := m.unpack(it.ref)
	for i, e := range o.Variants {
		u.Variants[i].Inherit(e)
	}
	m.decoded.keep(it, u)
}

// release frees the memory of an item's object. The caller holds the lock of its shard.
func (m *Memory) release(it *item) {
	if it.ref == 0 {
		return
	}
	if i, ok := it.ref.large(); ok {
		m.large.at(i).Store(nil)
		m.large.give(i)
	} else {
		m.decoded.forget(it)
		m.chunks.drop(it.ref, recordSize(m.chunks.from(it.ref)))
	}
	it.ref = 0
}

// ownCopy returns o in memory of its own. Parts of o may lie in a chunk, and a reference from a
// large object would keep the whole chunk alive. So ownCopy writes the head anew, and copies each
// segment that is small enough to be part of a record.
func (m *Memory) ownCopy(o *Object) *Object {
	u, _ := unpackHead(slices.Clip(appendRecord(nil, o, &m.eraNumbers)), &m.eraNumbers)
	for i, e := range u.Variants {
		for j := range e.Representations {
			e.Representations[j].Body.Segments = m.ownSegments(o.Variants[i].Representations[j].Body.Segments)
		}
		e.Inherit(o.Variants[i])
	}
	return &u.Object
}

// ownSegments returns the segments, with those copied that may be part of a record. Adjacent copies
// are joined.
func (m *Memory) ownSegments(segments [][]byte) (list [][]byte) {
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

// compact moves live records out of chunks that are mostly dead, until dead records take no more
// than their share. The goroutine that creates waste also removes it, so waste can't grow faster
// than it is removed.
func (m *Memory) compact() {
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
			m.relocate(refTo(i, off), b[off:])
		}
		m.chunks.written(refTo(i, 0))
	}
}

// relocate moves the record at old to another chunk if it is live. If the object is also cached in
// decoded form, it is decoded anew, because the cached form refers to the old chunk.
func (m *Memory) relocate(old ref, b []byte) {
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
	unpacked := m.decoded.load(it)
	r, room := m.chunks.take(recordSize(b))
	copy(room, b)
	m.chunks.written(r)
	m.release(it)
	it.ref = r
	if unpacked != nil {
		o := m.unpack(r)
		for i, e := range unpacked.Variants {
			o.Variants[i].Inherit(e)
		}
		m.decoded.keep(it, o)
	}
}
