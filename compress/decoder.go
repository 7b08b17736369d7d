package compress

import (
	"bufio"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/molecule-man/go-brrr"
)

// decoder is a codec's reading side. Its Read returns io.EOF only if the input is complete and ends
// there.
type decoder interface {
	io.Reader
	// reset begins a new stream without reading from it.
	reset(in *input)
	// drop releases the input and large buffers.
	drop()
}

// decoders holds a pool for each coding.
var decoders [codings]sync.Pool

// pooledDecoder is a decoder with its input.
type pooledDecoder struct {
	decoder
	in   input
	home *sync.Pool
}

// acquireDecoder takes a decoder for r from its pool.
func acquireDecoder(r io.Reader, c Coding) (*pooledDecoder, error) {
	home := &decoders[c]
	d, ok := home.Get().(*pooledDecoder)
	if !ok {
		d = &pooledDecoder{home: home}
		var err error
		if d.decoder, err = newDecoder(c); err != nil {
			return nil, fmt.Errorf("compress: new %s decoder: %w", c, err)
		}
	}
	d.in = input{r: r}
	d.reset(&d.in)
	return d, nil
}

// release returns the decoder to its pool. The decoder may be in any state, because the next use
// begins with reset.
func (d *pooledDecoder) release() {
	d.drop()
	d.in = input{}
	d.home.Put(d)
}

// newDecoder returns a new decoder. All decoders run in the goroutine of their caller.
func newDecoder(c Coding) (decoder, error) {
	switch c {
	case Identity:
		return &plainDecoder{}, nil
	case Gzip:
		return &gzipDecoder{}, nil
	case Brotli:
		return &brotliDecoder{z: brrr.NewReader(nil)}, nil
	case Zstd:
		return newZstdDecoder()
	}
	return nil, ErrUnsupported
}

// input counts the bytes read from an encoded body and keeps the error at its end. Codecs repeat
// reads after an error, and not all of them return the error that they got.
type input struct {
	r   io.Reader
	n   int64
	err error
}

// Read implements io.Reader. It never returns bytes and an error together.
func (in *input) Read(p []byte) (int, error) {
	if in.err != nil {
		return 0, in.err
	}
	n, err := in.r.Read(p)
	in.n += int64(n)
	in.err = err
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// plainDecoder passes all bytes through.
type plainDecoder struct{ in *input }

func (d *plainDecoder) reset(in *input)            { d.in = in }
func (d *plainDecoder) drop()                      { d.in = nil }
func (d *plainDecoder) Read(p []byte) (int, error) { return d.in.Read(p) }

// gzipDecoder reads gzip members one by one, because klauspost's reader of several members treats a
// truncated member header as the end.
type gzipDecoder struct {
	z      gzip.Reader
	buf    bufio.Reader
	inside bool // within a member
}

func (d *gzipDecoder) reset(in *input) {
	d.buf.Reset(in)
	d.inside = false
}

func (d *gzipDecoder) drop() { d.buf.Reset(nil) }

// Read implements io.Reader.
func (d *gzipDecoder) Read(p []byte) (int, error) {
	for {
		if !d.inside {
			if err := d.nextMember(); err != nil {
				return 0, err
			}
		}
		n, err := d.z.Read(p)
		if err == io.EOF {
			d.inside, err = false, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// nextMember reads the header of the next member. It returns io.EOF if there is no further member.
func (d *gzipDecoder) nextMember() error {
	if _, err := d.buf.Peek(1); err != nil {
		return err
	}
	if err := d.z.Reset(&d.buf); err != nil {
		if err == io.EOF {
			return io.ErrUnexpectedEOF // within the file name or the comment
		}
		return err
	}
	d.z.Multistream(false)
	d.inside = true
	return nil
}

// brotliDecoder reads one brotli stream and checks that no byte follows it.
type brotliDecoder struct {
	z   *brrr.Reader
	in  *input
	out int64 // bytes decoded
}

func (d *brotliDecoder) reset(in *input) {
	d.in, d.out = in, 0
	d.z.Reset(cutShort{in})
}

// drop keeps a small window, and returns a large one (up to 16 MiB) to brrr's own pool of windows.
func (d *brotliDecoder) drop() {
	if d.out > maxKept {
		_ = d.z.Close() // can't fail
	}
	d.z.Reset(nil)
	d.in = nil
}

// Read implements io.Reader.
func (d *brotliDecoder) Read(p []byte) (n int, err error) {
	sound := false
	err = guarded(Brotli, func() (err error) {
		n, err = d.z.Read(p)
		sound = true
		return err
	})
	if !sound {
		d.z = brrr.NewReader(nil)
	}
	d.out += int64(n)
	if err == io.EOF {
		err = d.end()
	}
	return n, err
}

// end returns io.EOF if the input ends with the stream. brrr detects trailing bytes only if it has
// already read them.
func (d *brotliDecoder) end() error {
	var tail [1]byte
	for {
		n, err := d.in.Read(tail[:])
		if n > 0 {
			return brrr.ErrExcessiveInput
		}
		if err != nil {
			return err
		}
	}
}

// cutShort reports the end of the input to brrr as io.ErrUnexpectedEOF. That is correct, because
// brrr reads only while it needs more. After io.EOF, brrr returns an error that looks like
// corruption.
type cutShort struct{ in *input }

// Read implements io.Reader.
func (c cutShort) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// zstdDecoder reads zstd frames.
type zstdDecoder struct {
	z   *zstd.Decoder
	buf bufio.Reader // klauspost reads three bytes at a time
	err error
}

func newZstdDecoder() (*zstdDecoder, error) {
	z, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow),
		zstd.WithDecoderMaxMemory(maxWindow), // bounds the window of a stream too, since frames of one segment have no other bound
		zstd.WithDecodeBuffersBelow(0))
	return &zstdDecoder{z: z}, err
}

func (d *zstdDecoder) reset(in *input) {
	d.buf.Reset(in)
	d.err = d.z.Reset(&d.buf)
}

func (d *zstdDecoder) drop() {
	d.buf.Reset(nil)
	_ = d.z.Reset(nil) // fails only after Close, which is never called
}

// Read implements io.Reader.
func (d *zstdDecoder) Read(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	return d.z.Read(p)
}
