package compress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"
)

// live is an unfinished body: the bytes so far can be read, and reading past them fails.
type live struct{ come bytes.Buffer }

var errDry = errors.New("nothing more has come yet")

func (l *live) Write(p []byte) (int, error) { return l.come.Write(p) }

func (l *live) Read(p []byte) (int, error) {
	n, err := l.come.Read(p)
	if err == io.EOF {
		err = errDry
	}
	return n, err
}

// TestFlushShows checks that after Flush the receiver can read all written bytes, and that readers
// pass them on without waiting for more.
func TestFlushShows(t *testing.T) {
	eachCoding(t, func(t *testing.T, c Coding) {
		var ours, theirs live
		w := NewWriter(io.MultiWriter(&ours, &theirs), c, 0)
		defer w.Abort()
		own, err := NewReader(&ours, c, Limit{})
		if err != nil {
			t.Fatal(err)
		}
		defer own.Close()
		var foreign io.Reader
		for i := range 20 {
			event := []byte(fmt.Sprintf("data: event %d %s\n\n", i, sampleJSON(i*300)))
			if _, err := w.Write(event); err != nil {
				t.Fatal(err)
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			if foreign == nil {
				foreign = foreignDecode(c, &theirs)
			}
			for who, r := range map[string]io.Reader{"own": own, "foreign": foreign} {
				got := make([]byte, len(event))
				if n, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, event) {
					t.Fatalf("event %d, %s reader: %d bytes of %d, %v", i, who, n, len(event), err)
				}
			}
		}
	})
}

func TestFlushOfNothing(t *testing.T) {
	eachCoding(t, func(t *testing.T, c Coding) {
		var b bytes.Buffer
		w := NewWriter(&b, c, 0)
		if err := errors.Join(w.Flush(), w.Flush(), w.Close()); err != nil {
			t.Fatal(err)
		}
		if back, err := Decode(nil, c, [][]byte{b.Bytes()}, Limit{}); err != nil || len(back) != 0 {
			t.Errorf("decodes to %d bytes, %v", len(back), err)
		}
	})
}

// TestAbortLooksCutShort checks that a stream does not look complete after Abort.
func TestAbortLooksCutShort(t *testing.T) {
	eachCoding(t, func(t *testing.T, c Coding) {
		for _, flushed := range []bool{false, true} {
			var b bytes.Buffer
			w := NewWriter(&b, c, 0)
			_, _ = w.Write(sampleJSON(1000))
			if flushed {
				_ = w.Flush()
			}
			w.Abort()
			if err := w.Close(); err != nil {
				t.Errorf("Close after Abort: %v", err)
			}
			if _, err := Decode(nil, c, [][]byte{b.Bytes()}, Limit{}); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("flushed %v: %v", flushed, err)
			}
		}
	})
}

func TestAfterClose(t *testing.T) {
	eachCoding(t, func(t *testing.T, c Coding) {
		var b bytes.Buffer
		w := NewWriter(&b, c, 0)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		size := b.Len()
		if _, err := w.Write([]byte("x")); !errors.Is(err, ErrClosed) {
			t.Errorf("Write: %v", err)
		}
		if err := w.Flush(); !errors.Is(err, ErrClosed) {
			t.Errorf("Flush: %v", err)
		}
		if err := w.Close(); err != nil || b.Len() != size {
			t.Errorf("a second Close: %v, %d bytes more", err, b.Len()-size)
		}
		r, err := NewReader(&b, c, Limit{})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(r.Close(), r.Close()); err != nil {
			t.Errorf("closing a reader twice: %v", err)
		}
		if _, err := r.Read(make([]byte, 1)); !errors.Is(err, ErrClosed) {
			t.Errorf("Read: %v", err)
		}
	})
}

// TestClosedTwicePooledOnce interleaves two streams after one was closed twice. If its encoder were
// in the pool twice, they would share it.
func TestClosedTwicePooledOnce(t *testing.T) {
	eachCoding(t, func(t *testing.T, c Coding) {
		for range 10 {
			first := NewWriter(io.Discard, c, 0)
			_, _ = first.Write([]byte("x"))
			_ = first.Close()
			_ = first.Close()
			first.Abort()
			var a, b bytes.Buffer
			wa, wb := NewWriter(&a, c, 0), NewWriter(&b, c, 0)
			for range 5 {
				_, _ = wa.Write([]byte("aaaa"))
				_, _ = wb.Write([]byte("bbbb"))
			}
			if err := errors.Join(wa.Close(), wb.Close()); err != nil {
				t.Fatal(err)
			}
			for want, got := range map[byte][]byte{'a': a.Bytes(), 'b': b.Bytes()} {
				if back, err := Decode(nil, c, [][]byte{got}, Limit{}); err != nil || !bytes.Equal(back, bytes.Repeat([]byte{want}, 20)) {
					t.Fatalf("decodes to %q, %v", back, err)
				}
			}
		}
	})
}

// brittle accepts left bytes and then fails.
type brittle struct {
	left int
	err  error
}

func (b *brittle) Write(p []byte) (int, error) {
	if len(p) > b.left {
		return b.left, b.err
	}
	b.left -= len(p)
	return len(p), nil
}

// TestReuseAfterFailure lets writers and readers fail at many positions and reuses the codecs that
// they released.
func TestReuseAfterFailure(t *testing.T) {
	body := sampleJSON(140 << 10) // more than a block of any codec
	broken := errors.New("connection reset")
	eachCoding(t, func(t *testing.T, c Coding) {
		whole := encoded(t, c, body)
		for i := range 6 {
			w := NewWriter(&brittle{left: i * 2000, err: broken}, c, 0)
			_, errWrite := w.Write(body)
			errFlush, errClose := w.Flush(), w.Close()
			if !errors.Is(errClose, broken) || errFlush == nil {
				t.Fatalf("over a broken writer: %v, %v, %v", errWrite, errFlush, errClose)
			}
			w = NewWriter(&brittle{left: 1 << 30}, c, 0)
			_, _ = w.Write(body[:i*10000])
			w.Abort()

			damaged := bytes.Clone(whole)
			damaged[len(damaged)*i/6] ^= 0x55
			_, _ = Decode(nil, c, [][]byte{damaged}, Limit{})
			r, _ := NewReader(bytes.NewReader(whole), c, Limit{})
			_, _ = io.CopyN(io.Discard, r, int64(i*1000))
			_ = r.Close()

			roundTrip(t, c, 0, body[i:])
		}
	})
}

// TestAllKindsOfReaders decodes from readers that use every freedom of the contract of io.Reader.
func TestAllKindsOfReaders(t *testing.T) {
	body := sampleJSON(50 << 10)
	kinds := map[string]func(io.Reader) io.Reader{
		"one byte": iotest.OneByteReader, "half": iotest.HalfReader, "data with error": iotest.DataErrReader,
		"one byte with error": func(r io.Reader) io.Reader { return iotest.DataErrReader(iotest.OneByteReader(r)) },
	}
	eachCoding(t, func(t *testing.T, c Coding) {
		for name, kind := range kinds {
			r, err := NewReader(kind(bytes.NewReader(encoded(t, c, body))), c, Limit{})
			if err != nil {
				t.Fatal(err)
			}
			if err := iotest.TestReader(r, body); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("%s: after the end: %d, %v", name, n, err)
			}
			_ = r.Close()
		}
	})
}

// TestSourceErrorsComeThrough lets the source fail at every position, even after a complete frame
// or member, where a codec would assume the end.
func TestSourceErrorsComeThrough(t *testing.T) {
	broken := errors.New("connection reset")
	eachCoding(t, func(t *testing.T, c Coding) {
		whole := encoded(t, c, sampleJSON(2000))
		for n := range len(whole) + 1 {
			for _, cause := range []error{broken, io.ErrUnexpectedEOF} {
				r, _ := NewReader(io.MultiReader(bytes.NewReader(whole[:n]), failing{cause}), c, Limit{})
				if _, err := io.ReadAll(r); err != cause {
					t.Fatalf("broken after %d of %d bytes: %v", n, len(whole), err)
				}
				_ = r.Close()
			}
		}
	})
}

// TestNewReaderDoesNotRead checks that NewReader does not read its input, so that it can't block.
func TestNewReaderDoesNotRead(t *testing.T) {
	eachCoding(t, func(t *testing.T, c Coding) {
		src := &counting{}
		r, err := NewReader(src, c, Limit{})
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
		if src.reads != 0 {
			t.Errorf("%d reads", src.reads)
		}
	})
}

// counting counts reads.
type counting struct{ reads int }

func (c *counting) Read([]byte) (int, error) {
	c.reads++
	return 0, io.EOF
}
