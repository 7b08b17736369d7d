package store

// queue is a list of items, the newest first. The zero value is empty.
type queue struct {
	newest, oldest uint32 // 0: none
	used           int64
}

func (q *queue) push(items *slab[item], i uint32) {
	it := items.at(i)
	it.prev, it.next = 0, q.newest
	if q.newest != 0 {
		items.at(q.newest).prev = i
	} else {
		q.oldest = i
	}
	q.newest = i
	q.used += it.cost
}

func (q *queue) remove(items *slab[item], i uint32) {
	it := items.at(i)
	if it.prev != 0 {
		items.at(it.prev).next = it.next
	} else {
		q.newest = it.next
	}
	if it.next != 0 {
		items.at(it.next).prev = it.prev
	} else {
		q.oldest = it.prev
	}
	it.prev, it.next = 0, 0
	q.used -= it.cost
}

// renew makes i the newest.
func (q *queue) renew(items *slab[item], i uint32) {
	if q.newest == i {
		return
	}
	q.remove(items, i)
	q.push(items, i)
}
