package store

// queue is a list of items, the newest first. The zero value is empty.
type queue struct {
	root item // root.next is the newest, root.prev the oldest
	used int64
}

func (q *queue) init() {
	q.root.next, q.root.prev = &q.root, &q.root
	q.used = 0
}

// oldest is the last item, nil when there is none.
func (q *queue) oldest() *item {
	if q.root.prev == &q.root {
		return nil
	}
	return q.root.prev
}

func (q *queue) push(it *item) {
	it.prev, it.next = &q.root, q.root.next
	it.prev.next, it.next.prev = it, it
	q.used += it.cost
}

func (q *queue) remove(it *item) {
	it.prev.next, it.next.prev = it.next, it.prev
	it.prev, it.next = nil, nil
	q.used -= it.cost
}

// renew makes it the newest.
func (q *queue) renew(it *item) {
	q.remove(it)
	q.push(it)
}

// expiries is a heap of items, the first to expire on top (container/heap).
type expiries []*item

func (h expiries) Len() int           { return len(h) }
func (h expiries) Less(i, j int) bool { return h[i].expires < h[j].expires }
func (h expiries) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].due, h[j].due = i, j
}

func (h *expiries) Push(x any) {
	it := x.(*item)
	it.due = len(*h)
	*h = append(*h, it)
}

func (h *expiries) Pop() any {
	last := len(*h) - 1
	it := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return it
}
