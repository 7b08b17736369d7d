package file

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// scanWindow is the number of bytes that are searched at a time.
const scanWindow = 1 << 20

// scan calls each for every sound record in the file, inside or outside the tree. The library does
// not clear freed pages, so scan also finds old records.
func scan(r io.ReaderAt, size int64, each func(k kind, payload []byte, at int64)) error {
	mark := []byte(frameMark)
	window := make([]byte, scanWindow+len(mark)-1)
	for from := int64(0); from < size; from += scanWindow {
		n, err := r.ReadAt(window[:min(int64(len(window)), size-from)], from)
		if err != nil && err != io.EOF {
			return err
		}
		for next := 0; ; next++ {
			i := bytes.Index(window[next:n], mark)
			if i < 0 {
				break
			}
			next += i
			if k, payload, ok := frameAt(r, from+int64(next), size); ok {
				each(k, payload, from+int64(next))
			}
		}
	}
	return nil
}

// frameAt reads the record at an offset, if it is sound.
func frameAt(r io.ReaderAt, at, size int64) (kind, []byte, bool) {
	var head [frameHead]byte
	if _, err := r.ReadAt(head[:], at); err != nil {
		return 0, nil, false
	}
	n := int64(binary.BigEndian.Uint32(head[frameHead-4:]))
	if n > size-at-int64(frameHead+frameTail) {
		return 0, nil, false
	}
	rest := make([]byte, n+frameTail)
	if _, err := r.ReadAt(rest, at+int64(frameHead)); err != nil && err != io.EOF {
		return 0, nil, false
	}
	sum := crc32.Update(crc32.Checksum(head[:], checksums), checksums, rest[:n])
	if binary.BigEndian.Uint32(rest[n:]) != sum {
		return 0, nil, false
	}
	mask(rest[:n], head[len(frameMark):])
	return kind(head[frameHead-5]), rest[:n:n], true
}
