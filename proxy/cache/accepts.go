package cache

import (
	"strings"
	"sync/atomic"

	"github.com/penstock/penstock/compress"
)

// accepts caches the parsed form of Accept-Encoding values. Clients send only a few different
// values, so a small table is enough. An entry is replaced if another value falls into its slot. It
// may be used concurrently.
type accepts [64]atomic.Pointer[folded]

type folded struct {
	line   string
	accept compress.Accept
}

// maxLine is the length of the longest value that accepts keeps. A longer value is parsed each
// time.
const maxLine = 128

// fold returns the parsed form of the Accept-Encoding value line, from the table if it is there.
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
