package cachepolicy

// planReplay answers from a stored 206 with FlagInconsistent: the response was complete, but its
// content has fewer bytes than its Content-Range declared. The positions of its bytes are a guess,
// so it is never combined with another part (RFC 9111 §3.4) and never becomes a whole response.
// planReplay treats it as the origin framed it. An explicit position counts from the declared first
// position. A suffix counts from the end of the stored bytes if the origin declared that the part
// ends at the end of the representation. The plan never claims more bytes than are stored. held is
// the length of the stored body.
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
