package wire

const (
	// shortWindow is how little of the connection's window net/http must have left before it gets more of what there is.
	shortWindow = 32 << 10
	// plentyWindow is how much net/http is left with, so that it need not be told of each increment.
	plentyWindow = 128 << 10
	// lendAll is as much window as is given away whole.
	lendAll = 64 << 10
)

// window is how much content the client is ready to take (RFC 9113 §5.2). The connection's window is parted: net/http is told of its own share alone, so
// neither side has to ask the other before it writes, and the client's window is never overrun. Of what a client gives, the side that has less gets more; while
// net/http has plenty, all is ours. When its share gets short, it is lent that of the answers: they are net/http's to write then.
type window struct {
	ours, theirs int64 // of the connection
	stream       int64 // of a stream that has just been opened
	next         int64 // what stream becomes when the client's SETTINGS are acknowledged
}

func (w *window) init() {
	w.theirs, w.stream, w.next = windowInitial, windowInitial, windowInitial
}

// add takes an increment, and returns how much of it is for net/http.
func (w *window) add(increment int64) int64 {
	take := increment
	if w.theirs < plentyWindow {
		take = min(max((w.ours+w.theirs+increment)/2-w.ours, 0), increment)
	}
	w.ours += take
	w.theirs += increment - take
	return increment - take
}

// use takes note of content that net/http writes.
func (w *window) use(size int64) (short bool) {
	w.theirs -= size
	return size > 0 && w.theirs < shortWindow && w.ours > 0
}

// reserve takes as much as an answer needs, if there is as much.
func (w *window) reserve(size int64) bool {
	if size > w.ours || size > w.stream {
		return size == 0
	}
	w.ours -= size
	return true
}

// lend returns what of our share net/http gets, which it needs.
func (w *window) lend() int64 {
	n := w.ours
	if n > lendAll {
		n /= 2
	}
	w.ours -= n
	w.theirs += n
	return n
}

// initial takes note of a SETTINGS_INITIAL_WINDOW_SIZE. A smaller one is obeyed at once; on a larger one the client counts when it is acknowledged.
func (w *window) initial(size int64) {
	w.next = size
	w.stream = min(w.stream, size)
}

// settle is called when SETTINGS were acknowledged.
func (w *window) settle() { w.stream = w.next }

// lend has net/http told that it may write more. It reports whether there is something to tell.
func (c *h2Conn) lend() bool {
	c.mu.Lock()
	n := c.window.lend()
	c.mu.Unlock()
	if n == 0 {
		return false
	}
	c.ahead = appendWindowUpdate(c.small[:0], n)
	return true
}
