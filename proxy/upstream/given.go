package upstream

import (
	"fmt"
	"net/http"
)

// Given checks a response that did not come over a connection, and removes from it what ends at this hop, as is done to one that did.
func Given(resp *http.Response) error {
	if err := checkResponse(resp); err != nil {
		return fmt.Errorf("no origin may answer so: %w", err)
	}
	strip(resp.Header)
	return nil
}
