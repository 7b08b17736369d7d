package stats

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/penstock/penstock/proxy/board"
	"github.com/penstock/penstock/proxy/cost"
)

// Options say which figures are shown, and how.
type Options struct {
	Get    func(ctx context.Context, path string) ([]byte, error) // asks the admin API; an error ends the command
	Where  string                                                 // the gateway's address, as shown
	Out    io.Writer
	Once   bool
	JSON   bool // one object per line
	Cost   bool // show the cost account instead of the traffic
	Colour bool
	Live   bool // true if Out is a terminal that can be drawn on
}

const every = time.Second

// Run shows the figures until ctx ends, or once.
func Run(ctx context.Context, o Options) error {
	if o.Live && !o.Once && !o.JSON {
		return live(ctx, &o)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := o.write(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if o.Once || o.Cost {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// path returns the path and query to request.
func (o *Options) path() string {
	if o.Cost {
		return "/api/cost"
	}
	return "/api/stats?window=10s"
}

// write requests the figures and writes them as lines.
func (o *Options) write(ctx context.Context) error {
	text, err := o.Get(ctx, o.path())
	if err != nil {
		return err
	}
	if o.JSON {
		return o.copyJSON(text)
	}
	s := &screen{width: 120, colour: o.Colour}
	switch {
	case o.Cost:
		r := new(cost.Report)
		if err := decode(text, r); err != nil {
			return err
		}
		s.account(r, 0)
	default:
		st := new(board.Stats)
		if err := decode(text, st); err != nil {
			return err
		}
		if o.Once {
			s.view(o.Where, st, nil, 0)
		} else {
			s.line(headline(st))
		}
	}
	for _, line := range s.lines {
		if _, err := fmt.Fprintln(o.Out, line); err != nil {
			return err
		}
	}
	return nil
}

func (o *Options) copyJSON(text []byte) error {
	var v json.RawMessage
	if err := decode(text, &v); err != nil {
		return err
	}
	_, err := fmt.Fprintf(o.Out, "%s\n", trimmed(v))
	return err
}

func trimmed(v json.RawMessage) []byte {
	for len(v) > 0 && (v[len(v)-1] == '\n' || v[len(v)-1] == ' ') {
		v = v[:len(v)-1]
	}
	return v
}

func decode(text []byte, into any) error {
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("the response does not come from a gateway's admin listener: %w", err)
	}
	return nil
}
