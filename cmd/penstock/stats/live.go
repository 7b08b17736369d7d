package stats

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/penstock/penstock/proxy/board"
	"github.com/penstock/penstock/proxy/cost"
)

// Control sequences for the terminal. leave restores the main screen and the cursor in any case.
const (
	enter = "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J"
	leave = "\x1b[?25h\x1b[?1049l"
	home  = "\x1b[H"
	wipe  = "\x1b[K"
	below = "\x1b[J"
)

const keptRates = 240

// display is a terminal in use.
type display struct {
	*Options
	tty   *os.File
	stats *board.Stats
	cost  *cost.Report
	err   error
	rates []float64
}

// live redraws the figures every second until q, Ctrl-C or the end of ctx.
func live(ctx context.Context, o *Options) (err error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("there is no terminal: %w; use --once, which needs none", err)
	}
	before, err := term.MakeRaw(int(tty.Fd()))
	if err != nil {
		return errors.Join(fmt.Errorf("the terminal cannot be used: %w; use --once, which needs none", err), tty.Close())
	}
	keys, closeKeys, err := openKeys()
	if err != nil {
		return errors.Join(err, term.Restore(int(tty.Fd()), before), tty.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	reading.Go(func() { readKeys(keys, cancel) })
	fmt.Fprint(tty, enter)
	defer func() {
		cancel()
		closeKeys()
		reading.Wait()
		fmt.Fprint(tty, leave)
		err = errors.Join(err, term.Restore(int(tty.Fd()), before), tty.Close())
	}()
	d := &display{Options: o, tty: tty}
	return d.loop(ctx)
}

// openKeys opens the terminal a second time, for reading, so that closing this file ends the read.
// The first file must stay open until the terminal is restored.
func openKeys() (*os.File, func(), error) {
	f, err := os.OpenFile("/dev/tty", os.O_RDONLY, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("the terminal cannot be read: %w", err)
	}
	return f, func() {
		_ = f.SetReadDeadline(time.Now()) // ends a blocked read; if deadlines are not supported, Close ends it
		_ = f.Close()
	}, nil
}

// readKeys calls quit for the keys that end the view.
func readKeys(keys *os.File, quit func()) {
	var b [16]byte
	for {
		n, err := keys.Read(b[:])
		if err != nil {
			return
		}
		if strings.ContainsAny(string(b[:n]), "qQ\x03\x04") {
			quit()
		}
	}
}

func (d *display) loop(ctx context.Context) error {
	resized, stop := watchSize()
	defer stop()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		d.ask(ctx)
		if ctx.Err() != nil {
			return nil
		}
		d.draw()
		for waiting := true; waiting; {
			select {
			case <-resized:
				d.draw()
			case <-tick.C:
				waiting = false
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// ask requests new figures. If that fails, the error is shown next to the last figures.
func (d *display) ask(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	text, err := d.Get(bounded, d.path())
	if d.err = err; err != nil {
		return
	}
	if d.Cost {
		r := new(cost.Report)
		if d.err = decode(text, r); d.err == nil {
			d.cost = r
		}
		return
	}
	st := new(board.Stats)
	if d.err = decode(text, st); d.err != nil {
		return
	}
	d.stats = st
	if st.Last != nil && st.Last.Step > 0 {
		d.rates = append(d.rates, float64(st.Last.Requests)/st.Last.Step)
		d.rates = d.rates[max(0, len(d.rates)-keptRates):]
	}
}

// draw writes a whole screen at once, so that it does not flicker.
func (d *display) draw() {
	width, height, err := term.GetSize(int(d.tty.Fd()))
	if err != nil || width < 1 || height < 1 {
		width, height = 80, 24
	}
	s := &screen{width: width, colour: d.Colour}
	switch {
	case d.stats != nil:
		s.view(d.Where, d.stats, d.rates, height-2)
	case d.cost != nil:
		s.account(d.cost, height-2)
	}
	foot := s.paint(fit("q quits", width, false), faint)
	if d.err != nil {
		foot = s.paint(fit("no answer: "+clean(d.err.Error()), width, false), red)
	}
	lines := s.lines[:min(len(s.lines), height-1)]
	for len(lines) < height-1 {
		lines = append(lines, "")
	}
	lines = append(lines, foot)
	fmt.Fprint(d.tty, home+strings.Join(lines, wipe+"\r\n")+wipe+below)
}
