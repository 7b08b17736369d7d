package main

import (
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

func TestInsertMarksEachFunctionAndKeepsDirectives(t *testing.T) {
	const source = `//go:build linux

// Package p is one.
package p

import "sync"

//go:noinline
func Plain() {}

//go:nosplit
func raw() { _ = 1 }

func outside()

type list[T any] struct{ mu sync.Mutex }

func (l *list[T]) Add(v T) { l.mu.Lock() }
`
	out, marks, err := insert([]byte(source), "dir/p", "dir/p/p.go", 7)
	if err != nil {
		t.Fatal(err)
	}
	if len(marks) != 2 || marks[0].function != "dir/p.Plain" || marks[1].function != "dir/p.list.Add" {
		t.Fatalf("marks: %+v", marks)
	}
	text := string(out)
	for _, want := range []string{"//go:build linux\n", "//go:noinline\nfunc Plain() {journeytrace.Mark(7);}", "func raw() { _ = 1 }", "{journeytrace.Mark(8); l.mu.Lock() }"} {
		if !strings.Contains(text, want) {
			t.Errorf("the copy lacks %q:\n%s", want, text)
		}
	}
	if strings.Count(text, "\n") != strings.Count(source, "\n") {
		t.Error("the copy has another number of lines")
	}
	if _, err := parser.ParseFile(token.NewFileSet(), "p.go", out, 0); err != nil {
		t.Error(err)
	}
}

func TestArrowsThatPointUp(t *testing.T) {
	uses := func(files ...string) map[string]bool {
		out := map[string]bool{}
		for _, f := range files {
			out[f] = true
		}
		return out
	}
	for _, c := range []struct {
		name                string
		g                   graph
		up, least, circular int
	}{
		{"layers", graph{"a": uses("b", "c"), "b": uses("c"), "c": uses()}, 0, 0, 0},
		{"one arrow back", graph{"a": uses("b"), "b": uses("c"), "c": uses("d", "b"), "d": uses()}, 1, 1, 2},
		{"a circle of three", graph{"a": uses("b"), "b": uses("c"), "c": uses("a")}, 1, 1, 3},
	} {
		if up, least, circular := c.g.up(), c.g.least(), c.g.tangled(); up != c.up || least != c.least || circular != c.circular {
			t.Errorf("%s: %d up, %d at least, %d in circles; want %d, %d, %d", c.name, up, least, circular, c.up, c.least, c.circular)
		}
	}
}
