package equality

import (
	"bytes"
	"compress/gzip"
	"io"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// FuzzConnection says arbitrary bytes on a connection, cut at two places. net/http is the oracle: whatever the connection answers by itself must be what
// would have been answered without. Where several requests for one thing come together they may share an answer or not, so a difference that does not
// come again is none.
func FuzzConnection(f *testing.F) {
	host := "f.example"
	for _, request := range slices.Concat(requests, corsRequests, conditionRequests()) {
		r := fill(request, host)
		f.Add(r, uint16(len(r)/2), uint16(0))
		f.Add(bytes.Join([][]byte{fill(requests[0], host), r, fill(requests[1], host)}, nil), uint16(20), uint16(60))
	}
	p := newPair(f)
	p.lenient = true
	p.warm(host, paths...)
	f.Fuzz(func(t *testing.T, talk []byte, first, second uint16) {
		talk = talk[:min(len(talk), 64<<10)] // is longer than what a connection reads at once, many times
		p.t = t
		a := min(int(first), len(talk))
		b := a + min(int(second), len(talk)-a)
		for range 3 {
			if p.differ(talk[:a], talk[a:b], talk[b:]) == "" {
				return
			}
			p.warm(host, paths...)
		}
		t.Error(p.differ(talk[:a], talk[a:b], talk[b:]))
	})
}

// conditionRequests are requests with each of the conditions.
func conditionRequests() []string {
	var all []string
	for _, condition := range conditions {
		all = append(all, "GET /a/10 HTTP/1.1\r\nHost: H\r\n"+condition+"\r\n")
	}
	return all
}

// coded is a head of a response with content under a coding.
var coded = regexp.MustCompile(`(?s)Content-Encoding: (gzip|zstd)\r\nContent-Length: (\d+)\r\n(?:[^\r]+\r\n)*\r\n`)

// decoded is told with coded contents decoded, and without their lengths.
func decoded(told []byte) []byte {
	var out []byte
	for {
		at := coded.FindSubmatchIndex(told)
		if at == nil {
			return append(out, told...)
		}
		out = append(append(out, told[:at[4]]...), told[at[5]:at[1]]...)
		coding := string(told[at[2]:at[3]])
		size, _ := strconv.Atoi(string(told[at[4]:at[5]]))
		told = told[at[1]:]
		if size > len(told) {
			continue // the answer to a HEAD
		}
		if plain, err := decode(coding, told[:size]); err == nil {
			out, told = append(out, plain...), told[size:]
		}
	}
}

// decode decodes content. What follows an answer to a HEAD is none, and an error.
func decode(coding string, content []byte) ([]byte, error) {
	if coding == "zstd" {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer d.Close()
		return d.DecodeAll(content, nil)
	}
	r, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
