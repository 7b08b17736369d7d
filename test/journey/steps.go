package main

import "slices"

// step is a piece of work that a request should do once. Its functions do that work: none of them
// calls another of them. If a function gets another name, edit this table alone.
type step struct {
	name      string
	functions []string // package.Function or package.Type.Method, the package's path from the root; those that a tree lacks count nothing
}

var steps = []step{
	// hosts remembers canonical hosts, so that in a warm gateway it does not call CanonicalHost.
	{"host", []string{"proxy.hosts.canonical", "proxy/route.Hosts.Find", "proxy/edge.CanonicalHost"}},
	{"path", []string{"proxy/edge.isCanonical"}},
	{"router", []string{"proxy.router.find", "proxy/route.Router.Find"}},
	{"key", []string{"cachepolicy.Rules.makeKey", "cachepolicy.KeyOf"}},
	{"memory", []string{"proxy/store.Memory.look"}},
	{"Decide", []string{"cachepolicy.Rules.Decide"}},
}

// count is how often the step ran.
func (s *step) count(calls map[int]int, marks []mark) int {
	total := 0
	for id, n := range calls {
		if slices.Contains(s.functions, marks[id].function) {
			total += n
		}
	}
	return total
}

// exists reports whether the tree has a function of the step.
func (s *step) exists(marks []mark) bool {
	return slices.ContainsFunc(marks, func(m mark) bool { return slices.Contains(s.functions, m.function) })
}
