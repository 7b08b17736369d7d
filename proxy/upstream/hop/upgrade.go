package hop

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/penstock/penstock/proxy/upstream/fault"
)

// CheckUpgrade lets only the change of protocol through that was asked for (RFC 9110 §7.8).
func CheckUpgrade(resp *http.Response, asked, target string, writable bool) error {
	got := resp.Header.Get("Upgrade")
	switch {
	case asked == "":
		return &fault.Error{Kind: fault.UpgradeFailed, Target: target, Err: errors.New("101 to a request that asked for no upgrade")}
	case !strings.EqualFold(got, asked):
		return &fault.Error{Kind: fault.UpgradeFailed, Target: target, Err: fmt.Errorf("asked to upgrade to %q, got %q", asked, got)}
	case !writable:
		return &fault.Error{Kind: fault.UpgradeFailed, Target: target, Err: errors.New("101 without Connection: Upgrade")}
	}
	return nil
}
