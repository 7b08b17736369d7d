package cache

import (
	"strings"
	"sync/atomic"

	"github.com/penstock/penstock/compress"
)

// accepts remembers what some values of Accept-Encoding fold to. There are few that clients really send.
type accepts [64]atomic.Pointer[folded]

type folded struct {
	line   string
	accept compress.Accept
}

// maxLine is the longest value that is remembered.
const maxLine = 128

func (a *accepts) fold(line string) compress.Accept {
	if line == "" || len(line) > maxLine {
		return compress.Canonical([]string{line})
	}
	h := uint(len(line))*31 + uint(line[0])*7 + uint(line[len(line)-1])*13 + uint(line[len(line)/2])
	at := &a[h%uint(len(a))]
	if f := at.Load(); f != nil && f.line == line {
		return f.accept
	}
	f := &folded{line: strings.Clone(line), accept: compress.Canonical([]string{line})}
	at.Store(f)
	return f.accept
}
