package flight

// Ready reports whether Next would return at once with bytes, the end, or an error.
func (r *Reader) Ready() bool {
	s := r.spool
	s.mu.Lock()
	defer s.mu.Unlock()
	return r.err != nil || r.pos < s.size || s.ended
}
