package main

import (
	"maps"
	"slices"
)

// arrows is the number of pairs of which one file uses the other.
func (g graph) arrows() int {
	n := 0
	for _, uses := range g {
		n += len(uses)
	}
	return n
}

// least counts the arrows that point up in the best order of the files that was found: Eades, Lin
// and Smyth's heuristic, improved by moving single files as long as that helps. About so many
// arrows must go before the files form layers.
func (g graph) least() int {
	order := g.order()
	for g.improve(order) {
	}
	at := map[string]int{}
	for i, f := range order {
		at[f] = i
	}
	n := 0
	for from, uses := range g {
		for to := range uses {
			if at[to] < at[from] {
				n++
			}
		}
	}
	return n
}

// order takes files that use no other to the end, files that no other uses to the front, and
// between them the file that is used least for what it uses.
func (g graph) order() []string {
	left := keys(g)
	var front, back []string
	for len(left) > 0 {
		i, last := g.next(left)
		if last {
			back = append(back, left[i])
		} else {
			front = append(front, left[i])
		}
		left = slices.Delete(left, i, i+1)
	}
	slices.Reverse(back)
	return append(front, back...)
}

// next chooses the file that leaves the others. last reports whether it uses none of them.
func (g graph) next(left []string) (i int, last bool) {
	best, score := 0, 0
	for i, f := range left {
		out, in := g.degrees(f, left)
		if out == 0 {
			return i, true
		}
		s := out - in
		if in == 0 {
			s = len(g)
		}
		if i == 0 || s > score {
			best, score = i, s
		}
	}
	return best, false
}

// degrees counts how many of the others f uses, and how many use f.
func (g graph) degrees(f string, others []string) (out, in int) {
	for _, o := range others {
		if g[f][o] {
			out++
		}
		if g[o][f] {
			in++
		}
	}
	return out, in
}

// improve moves each file to the place where the fewest of its arrows point up. It reports whether
// that made the order better.
func (g graph) improve(order []string) bool {
	better := false
	for _, f := range slices.Clone(order) {
		i := slices.Index(order, f)
		rest := slices.Delete(slices.Clone(order), i, i+1)
		cost := 0 // relative to the place in front of all
		best, least, here := 0, 0, 0
		for k := range len(rest) + 1 {
			if cost < least {
				best, least = k, cost
			}
			if k == i {
				here = cost
			}
			if k < len(rest) {
				// Behind rest[k], an arrow from f to it points up, and one from it to f does not.
				cost += toInt(g[f][rest[k]]) - toInt(g[rest[k]][f])
			}
		}
		if least < here {
			copy(order, slices.Insert(rest, best, f))
			better = true
		}
	}
	return better
}

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// tangled counts the arrows that are part of a circle.
func (g graph) tangled() int {
	reach := map[string]map[string]bool{}
	for f := range g {
		seen := map[string]bool{}
		for queue := []string{f}; len(queue) > 0; queue = queue[1:] {
			for to := range g[queue[0]] {
				if !seen[to] {
					seen[to] = true
					queue = append(queue, to)
				}
			}
		}
		reach[f] = seen
	}
	n := 0
	for from, uses := range g {
		for to := range uses {
			if reach[to][from] {
				n++
			}
		}
	}
	return n
}

// up counts the arrows that lead from a file to one of a layer above its own. A file's layer is its
// distance from the entrance, so that a reader who follows the uses from the entrance has seen the
// upper file before.
func (g graph) up() int {
	layer := g.layers()
	n := 0
	for from, uses := range g {
		for to := range uses {
			if layer[to] < layer[from] {
				n++
			}
		}
	}
	return n
}

// layers finds the layer of each file. The entrance, layer 0, is the files that no other file uses.
// If there is a file to which no way leads from there, the one that uses the most others beyond
// those that use it belongs to the entrance too.
func (g graph) layers() map[string]int {
	layer := map[string]int{}
	files := keys(g)
	for _, f := range files {
		if _, in := g.degrees(f, files); in == 0 {
			layer[f] = 0
		}
	}
	for {
		g.spread(layer)
		var entrance string
		most := 0
		for _, f := range files {
			out, in := g.degrees(f, files)
			if _, ok := layer[f]; !ok && (entrance == "" || out-in > most) {
				entrance, most = f, out-in
			}
		}
		if entrance == "" {
			return layer
		}
		layer[entrance] = 0
	}
}

// spread gives a layer to the files that are reached from those that have one.
func (g graph) spread(layer map[string]int) {
	queue := slices.Sorted(maps.Keys(layer))
	slices.SortStableFunc(queue, func(a, b string) int { return layer[a] - layer[b] })
	for ; len(queue) > 0; queue = queue[1:] {
		from := queue[0]
		for to := range g[from] {
			if old, ok := layer[to]; !ok || layer[from]+1 < old {
				layer[to] = layer[from] + 1
				queue = append(queue, to)
			}
		}
	}
}

func keys(g graph) []string { return slices.Sorted(maps.Keys(g)) }
