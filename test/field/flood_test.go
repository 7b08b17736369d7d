package field

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/penstock/penstock/test/load/program"
)

// TestFloodOfCheapFramesIsStopped with ENHANCE_YOUR_CALM: one connection must not keep a processor busy with frames that ask for nothing.
func TestFloodOfCheapFramesIsStopped(t *testing.T) {
	o := newSlotOrigin(t, false)
	addr := slotGateway(t, o, "", "", "").Public()
	for name, send := range map[string]func(f *h2Client, id uint32, i int) error{
		"PING":                        func(f *h2Client, _ uint32, _ int) error { return f.WritePing(false, [8]byte{1}) },
		"answers to PINGs never sent": func(f *h2Client, _ uint32, _ int) error { return f.WritePing(true, [8]byte{1}) },
		"SETTINGS":                    func(f *h2Client, _ uint32, _ int) error { return f.WriteSettings() },
		"WINDOW_UPDATE":               func(f *h2Client, _ uint32, _ int) error { return f.WriteWindowUpdate(0, 1) },
		"WINDOW_UPDATE of a stream":   func(f *h2Client, id uint32, _ int) error { return f.WriteWindowUpdate(id, 1) },
		"PRIORITY":                    func(f *h2Client, id uint32, _ int) error { return f.WritePriority(id, http2.PriorityParam{Weight: 1}) },
		"empty DATA":                  func(f *h2Client, id uint32, _ int) error { return f.WriteData(id, false, nil) },
		"DATA of padding alone":       func(f *h2Client, id uint32, _ int) error { return f.WriteDataPadded(id, false, nil, make([]byte, 9)) },
		"frames of an unknown type":   func(f *h2Client, _ uint32, _ int) error { return f.WriteRawFrame(0xbe, 0, 0, nil) },
		"RST_STREAM of a closed stream": func(f *h2Client, id uint32, i int) error {
			if i == 0 {
				return f.WriteRSTStream(id, http2.ErrCodeCancel)
			}
			return f.WriteRSTStream(id, http2.ErrCodeCancel)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := dialH2(t, addr)
			id := f.open("POST", "/upload", false, "content-type", "application/grpc")
			if err := f.await(program.Patience, func(frame http2.Frame) bool { s, ok := frame.(*http2.SettingsFrame); return ok && !s.IsAck() }); err != nil {
				t.Fatal(err)
			}
			f.quiet = true
			sent := make(chan error, 1)
			go func() {
				f.SetWriteDeadline(time.Now().Add(program.Patience))
				for i := range 1_000_000 {
					if err := send(f, id, i); err != nil {
						sent <- err
						return
					}
				}
				sent <- nil
			}()
			code := http2.ErrCodeNo
			err := f.await(program.Patience, func(frame http2.Frame) bool {
				g, ok := frame.(*http2.GoAwayFrame)
				if ok {
					code = g.ErrCode
				}
				return ok
			})
			if code != http2.ErrCodeEnhanceYourCalm {
				t.Errorf("%v, %v", code, err)
			}
			if err := <-sent; err == nil || deadlinePassed(err) {
				t.Errorf("all of the flood was taken: %v", err)
			}
		})
	}
}

// TestBusyClientIsNoFlood: one that takes much sends many WINDOW_UPDATEs, and one that measures its connection many PINGs.
func TestBusyClientIsNoFlood(t *testing.T) {
	o := newSlotOrigin(t, false)
	addr := slotGateway(t, o, "", "", "").Public()
	f := dialH2(t, addr)
	const size = 48 << 20
	id := f.open("GET", "/big?size=50331648", true)
	n, pings := 0, 0
	err := f.await(3*program.Patience, func(frame http2.Frame) bool {
		d, ok := frame.(*http2.DataFrame)
		if !ok {
			return false
		}
		n += len(d.Data())
		if len(d.Data()) > 0 {
			pings++
			if err := errors.Join(f.WriteWindowUpdate(0, uint32(len(d.Data()))), f.WriteWindowUpdate(id, uint32(len(d.Data()))), f.WritePing(false, [8]byte{2})); err != nil {
				t.Error(err)
			}
		}
		return d.StreamEnded()
	})
	if n != size || err != nil {
		t.Errorf("%d of %d bytes after %d PINGs: %v", n, size, pings, err)
	}
}
