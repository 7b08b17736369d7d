package file

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// The form of the library's pages, as far as reading requires it. This package reads it on its own
// because the library panics on damaged pages, in goroutines whose panics can't be recovered. So
// the library never gets a file that this package has not read completely.
const (
	pageHead    = 16 // id uint64, flags, count uint16, overflow uint32
	elementSize = 16
	bucketHead  = 16 // root, sequence uint64
	metaSize    = 64

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagFreelist = 0x10
	flagBucket   = 0x01 // of an element

	libraryMagic   = 0xED0CDAED
	libraryVersion = 2
	noFreelist     = ^uint64(0)

	minPage, maxPage = 512, 1 << 16
	maxDepth         = 64
)

var (
	errForeign = errors.New("it is not a queue of writes")
	errVersion = errors.New("it was written by another version of the library")
)

var order = binary.NativeEndian // the library's byte order

// meta is the content of a meta page, which locates everything else.
type meta struct {
	pageSize           int
	root, pages, txid  uint64
	freelist, sequence uint64
}

// readMeta decodes a meta page.
func readMeta(b []byte) (m meta, err error) {
	if len(b) < pageHead+metaSize || order.Uint32(b[pageHead:]) != libraryMagic {
		return m, errForeign
	}
	b = b[pageHead:]
	sum := fnv.New64a()
	_, _ = sum.Write(b[:metaSize-8]) // never fails
	if order.Uint64(b[metaSize-8:]) != sum.Sum64() {
		return m, errors.New("checksum mismatch")
	}
	if order.Uint32(b[4:]) != libraryVersion {
		return m, errVersion
	}
	m = meta{
		pageSize: int(order.Uint32(b[8:])), root: order.Uint64(b[16:]), sequence: order.Uint64(b[24:]),
		freelist: order.Uint64(b[32:]), pages: order.Uint64(b[40:]), txid: order.Uint64(b[48:]),
	}
	if m.pageSize < minPage || m.pageSize > maxPage || m.pageSize&(m.pageSize-1) != 0 {
		return m, errors.New("impossible page size")
	}
	return m, nil
}

// metas reads both meta pages and returns the newer one. They belong to consecutive transactions.
// whole is false if a meta page is damaged.
func metas(r io.ReaderAt) (newest meta, whole bool, err error) {
	b := make([]byte, pageHead+metaSize)
	read := func(at int64) (meta, error) {
		n, _ := r.ReadAt(b, at) // missing bytes make readMeta fail
		return readMeta(b[:n])
	}
	first, err := read(0)
	if errors.Is(err, errVersion) {
		return first, false, err
	}
	sizes := []int{first.pageSize}
	if err != nil {
		for sizes = nil; len(sizes) < 8; {
			sizes = append(sizes, minPage<<len(sizes))
		}
	}
	for _, size := range sizes {
		second, errSecond := read(int64(size))
		switch {
		case errors.Is(errSecond, errVersion):
			return second, false, errSecond
		case errSecond == nil && err == nil && second.pageSize == size:
			if second.txid > first.txid {
				first, second = second, first
			}
			return first, first.txid == second.txid+1, nil
		case errSecond == nil && second.pageSize == size:
			return second, false, nil
		}
	}
	return first, false, err
}

// walker reads the tree of the newest transaction, as far as it can be followed.
type walker struct {
	r    io.ReaderAt
	size int64
	meta meta
	seen map[uint64]bool
	// visit is called with each value and its offset in the file.
	visit func(bucket string, key, value []byte, at int64)
	// trouble is called with each problem. bucket is "" if the problem does not belong to one
	// bucket.
	trouble func(bucket, what string)
	// bucket is called for each bucket.
	bucket func(name string, sequence uint64)
}

// walk visits the whole tree.
func (w *walker) walk() {
	w.seen = make(map[uint64]bool)
	if w.meta.pages > uint64(w.size)/uint64(w.meta.pageSize) {
		w.trouble("", fmt.Sprintf("the file has %d bytes, and should have %d pages of %d", w.size, w.meta.pages, w.meta.pageSize))
	}
	w.tree("", w.meta.root, nil, nil, 0, func(flags uint32, key, value []byte, at int64) {
		if flags != flagBucket || len(value) < bucketHead {
			w.trouble("", fmt.Sprintf("%.20q is not a bucket", key))
			return
		}
		name, root := string(key), order.Uint64(value)
		w.bucket(name, order.Uint64(value[8:]))
		each := func(flags uint32, key, value []byte, at int64) {
			if flags != 0 {
				w.trouble(name, "an element has an unknown form")
				return
			}
			w.visit(name, key, value, at)
		}
		if root != 0 {
			w.tree(name, root, nil, nil, 0, each)
			return
		}
		inline := value[bucketHead:]
		if len(inline) < pageHead || order.Uint16(inline[8:]) != flagLeaf {
			w.trouble(name, "the page within its parent's is damaged")
			return
		}
		w.leaf(name, inline, at+bucketHead, nil, nil, each)
	})
}

// tree visits the elements below a page. The page's keys must be at least low and less than high;
// nil means no limit.
func (w *walker) tree(bucket string, id uint64, low, high []byte, depth int, each func(flags uint32, key, value []byte, at int64)) {
	b, err := w.page(id)
	if err == nil && depth > maxDepth {
		err = errors.New("the tree is too deep")
	}
	if err != nil {
		w.trouble(bucket, fmt.Sprintf("page %d: %v", id, err))
		return
	}
	at := int64(id) * int64(w.meta.pageSize)
	if order.Uint16(b[8:]) == flagLeaf {
		w.leaf(bucket, b, at, low, high, each)
		return
	}
	count := int(order.Uint16(b[10:]))
	if count == 0 {
		w.trouble(bucket, fmt.Sprintf("page %d is a branch without leaves", id))
	}
	type child struct {
		key []byte
		id  uint64
	}
	var children []child
	for i := range count {
		from := pageHead + i*elementSize
		if from+elementSize > len(b) {
			w.trouble(bucket, fmt.Sprintf("page %d ends within its elements", id))
			break
		}
		key, ok := cut(b, from, order.Uint32(b[from:]), order.Uint32(b[from+4:]))
		if !ok || !between(key, low, high) {
			w.trouble(bucket, fmt.Sprintf("page %d has a key that can't be there", id))
			continue
		}
		low = key
		children = append(children, child{key, order.Uint64(b[from+8:])})
	}
	for i, c := range children {
		end := high
		if i+1 < len(children) {
			end = children[i+1].key
		}
		w.tree(bucket, c.id, c.key, end, depth+1, each)
	}
}

// leaf visits the elements of a page whose first byte is at an offset in the file.
func (w *walker) leaf(bucket string, b []byte, at int64, low, high []byte, each func(flags uint32, key, value []byte, at int64)) {
	first := true
	for i := range int(order.Uint16(b[10:])) {
		from := pageHead + i*elementSize
		if from+elementSize > len(b) {
			w.trouble(bucket, "a page ends within its elements")
			return
		}
		position, keys, values := order.Uint32(b[from+4:]), order.Uint32(b[from+8:]), order.Uint32(b[from+12:])
		both, ok := cut(b, from, position, keys)
		key := both
		if ok {
			both, ok = cut(b, from, position, keys+values)
			ok = ok && keys+values >= keys
		}
		if !ok || !between(key, low, high) || !first && bytes.Equal(key, low) {
			w.trouble(bucket, "a page has a key that can't be there")
			continue
		}
		low, first = key, false
		each(order.Uint32(b[from:]), key, both[keys:], at+int64(from)+int64(position)+int64(keys))
	}
}

// between reports whether low <= key < high.
func between(key, low, high []byte) bool {
	return bytes.Compare(key, low) >= 0 && (high == nil || bytes.Compare(key, high) < 0)
}

// cut returns n bytes at a position relative to from.
func cut(b []byte, from int, position, n uint32) ([]byte, bool) {
	begin, end := uint64(from)+uint64(position), uint64(from)+uint64(position)+uint64(n)
	if position < elementSize || end > uint64(len(b)) {
		return nil, false
	}
	return b[begin:end:end], true
}

// page reads a branch or leaf page with its overflow pages. It fails if the page was read before.
func (w *walker) page(id uint64) ([]byte, error) {
	size := uint64(w.meta.pageSize)
	if id < 2 || id >= w.meta.pages || id >= uint64(w.size)/size {
		return nil, errors.New("it is not in the file")
	}
	b := make([]byte, size)
	if _, err := w.r.ReadAt(b, int64(id*size)); err != nil {
		return nil, err
	}
	flags, more := order.Uint16(b[8:]), uint64(order.Uint32(b[12:]))
	if order.Uint64(b) != id || flags != flagBranch && flags != flagLeaf {
		return nil, errors.New("its head is damaged")
	}
	if id+more >= w.meta.pages || id+more >= uint64(w.size)/size {
		return nil, errors.New("its length is damaged")
	}
	for n := id; n <= id+more; n++ {
		if w.seen[n] {
			return nil, errors.New("it is used twice")
		}
		w.seen[n] = true
	}
	if more > 0 {
		b = make([]byte, (more+1)*size)
		if _, err := w.r.ReadAt(b, int64(id*size)); err != nil {
			return nil, err
		}
	}
	return b, nil
}
