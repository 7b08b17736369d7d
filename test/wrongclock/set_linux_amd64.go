package wrongclock

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// Supported reports whether Set works on this system.
const Supported = true

// Set has the wall clock of a process be off by whole seconds from now on, whatever it was off by
// before. The first call for a process stops it for a moment, so it must not be stopped for another
// reason then. The caller must be an ancestor of the process, or root.
func Set(pid int, off time.Duration) error {
	v, err := open(pid)
	if err != nil {
		return fmt.Errorf("wrongclock: opening the clock of process %d: %w", pid, err)
	}
	defer v.mem.Close()
	if err := v.set(pid, int64(off/time.Second)); err != nil {
		return fmt.Errorf("wrongclock: setting the clock of process %d: %w", pid, err)
	}
	return nil
}

// vdso is the vDSO of a process.
type vdso struct {
	mem   *os.File
	base  int64 // its address
	image []byte
	entry int64 // of clock_gettime in image
}

func open(pid int) (*vdso, error) {
	base, end, err := place(pid)
	if err != nil {
		return nil, err
	}
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	v := &vdso{mem: mem, base: base, image: make([]byte, end-base)}
	if _, err = mem.ReadAt(v.image, base); err == nil || errors.Is(err, io.EOF) {
		v.entry, err = entry(v.image)
	}
	if err != nil {
		mem.Close()
		return nil, err
	}
	return v, nil
}

// place is where the vDSO of a process begins and ends.
func place(pid int) (base, end int64, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, "[vdso]") {
			_, err := fmt.Sscanf(line, "%x-%x", &base, &end)
			return base, end, err
		}
	}
	return 0, 0, errors.New("it has no vDSO")
}

// entry is where clock_gettime begins in the image of a vDSO.
func entry(image []byte) (int64, error) {
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return 0, err
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return 0, err
	}
	for _, s := range symbols {
		if s.Name == "__vdso_clock_gettime" {
			return int64(s.Value), nil
		}
	}
	return 0, errors.New("its vDSO has no clock_gettime")
}

// detour asks the kernel for the time and adds seconds to that of CLOCK_REALTIME, clock 0. The
// seconds stand behind it, at detourLength. It may change the registers that a C function may
// change.
var detour = []byte{
	0xb8, 228, 0, 0, 0, // mov eax, SYS_clock_gettime
	0x0f, 0x05, // syscall
	0x85, 0xff, // test edi, edi: the clock that is asked for
	0x75, 0x0a, // jne to ret
	0x48, 0x8b, 0x15, 14, 0, 0, 0, // mov rdx, [rip+14]: the seconds
	0x48, 0x01, 0x16, // add [rsi], rdx: tv_sec
	0xc3, // ret
}

const (
	detourLength = 32 // with padding, so that the seconds are aligned
	jump         = 0xe9
	jumpLength   = 5
)

func (v *vdso) set(pid int, seconds int64) error {
	value := binary.LittleEndian.AppendUint64(nil, uint64(seconds))
	if first := v.image[v.entry:]; first[0] == jump {
		at := v.entry + jumpLength + int64(int32(binary.LittleEndian.Uint32(first[1:])))
		_, err := v.mem.WriteAt(value, v.base+at+detourLength)
		return err
	}
	at := v.room(detourLength + len(value))
	if at < 0 {
		return errors.New("its vDSO has no room")
	}
	code := append(append(bytes.Clone(detour), make([]byte, detourLength-len(detour))...), value...)
	if _, err := v.mem.WriteAt(code, v.base+at); err != nil {
		return err
	}
	// The rest of the old function stays: a thread may be in the midst of it.
	to := binary.LittleEndian.AppendUint32([]byte{jump}, uint32(int32(at-v.entry-jumpLength)))
	if err := stop(pid); err != nil {
		return err
	}
	_, err := v.mem.WriteAt(to, v.base+v.entry)
	return errors.Join(err, syscall.Kill(pid, syscall.SIGCONT))
}

// stop stops a process and returns when none of its threads runs.
func stop(pid int) error {
	const patience, pause = 10 * time.Second, time.Millisecond
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(pause) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return err
		}
		if bytes.Contains(status, []byte("State:\tT")) {
			return nil
		}
	}
	return errors.New("it does not stop")
}

// room is an aligned place in the image where n bytes and more are zero, so that nothing seems to
// be there; -1: there is none.
func (v *vdso) room(n int) int64 {
	const align, margin = 16, 64
	for at := (len(v.image) - n - margin) &^ (align - 1); at >= margin; at -= align {
		if len(bytes.Trim(v.image[at-margin:at+n+margin], "\x00")) == 0 {
			return int64(at)
		}
	}
	return -1
}
