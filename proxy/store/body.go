package store

import "io"

var _ io.WriterTo = Body{}

// NewBody is the body that consists of the given segments, which nobody may change any more.
func NewBody(segments ...[]byte) Body {
	b := Body{Segments: segments}
	for _, s := range segments {
		b.Size += int64(len(s))
	}
	return b
}

// Slice is n bytes from offset off, as views of the segments: nothing is copied. What lies outside of the body is left out.
func (b Body) Slice(off, n int64) [][]byte {
	if off < 0 || n <= 0 || off >= b.Size {
		return nil
	}
	n = min(n, b.Size-off)
	if off == 0 && n == b.Size {
		return b.Segments
	}
	var views [][]byte
	for _, s := range b.Segments {
		size := int64(len(s))
		if off >= size {
			off -= size
			continue
		}
		end := min(size, off+n)
		views = append(views, s[off:end:end])
		if n -= end - off; n == 0 {
			break
		}
		off = 0
	}
	return views
}

// WriteTo writes the segments one after the other.
func (b Body) WriteTo(w io.Writer) (n int64, err error) {
	for _, s := range b.Segments {
		k, err := w.Write(s)
		n += int64(k)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
