package addresses

import (
	"log/slog"
	"net/netip"

	"github.com/penstock/penstock/proxy/edge/files"
)

// List is the set of the addresses in a file.
type List struct{ *files.File[Set] }

// Has reports whether ip is in the list. It may be called concurrently.
func (l List) Has(ip netip.Addr) bool { return l.Value().Has(ip) }

// NewWatcher returns a watcher of files of addresses.
func NewWatcher(log *slog.Logger) *files.Watcher[Set] {
	return files.NewWatcher("addresses", readSet, log)
}

func readSet(text []byte) (*Set, error) {
	networks, err := Parse(text)
	if err != nil {
		return nil, err
	}
	return NewSet(networks), nil
}
