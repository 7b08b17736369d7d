package cachepolicy

// planReplay answers from a stored 206 that carries FlagInconsistent: its own framing was complete, yet it has fewer bytes than
// its Content-Range declared. Which of the declared positions its bytes have is a guess, so it is never combined with another
// part (RFC 9111 §3.4) and never becomes a whole. It is replayed as the origin framed it: an explicit position counts from the
// declared first one; a suffix, whose end the origin declared to be the end of the representation, counts from the end of what
// came. What is sent never claims more bytes than it has. held is the length of the stored body.
func planReplay(line string, m *Meta, held int64) RangePlan {
	specs, ok := parseRangeSpecs(line)
	if !ok || len(specs) != 1 || len(m.Spans) != 1 || held <= 0 {
		return RangePlan{Kind: Missing}
	}
	declared, spec := m.Spans[0], specs[0]
	have := Span{First: declared.First, Last: declared.First + min(declared.Len(), held) - 1}
	want, kind := spec.resolve(m.Total)
	switch {
	case kind == Unsatisfiable:
		return RangePlan{Kind: Unsatisfiable}
	case kind != Partial || !CoversSpan(m.Spans, want):
		return RangePlan{Kind: Missing}
	case spec.first < 0:
		want = Span{First: max(have.First, have.Last-want.Len()+1), Last: have.Last}
	default:
		want.Last = min(want.Last, have.Last)
	}
	if want.Len() <= 0 {
		return RangePlan{Kind: Missing}
	}
	at, _ := SpanOffset([]Span{have}, want)
	return RangePlan{Kind: Partial, Spans: []Span{want}, Offsets: []Span{at}}
}
