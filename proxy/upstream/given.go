package upstream

import (
	"fmt"
	"net/http"

	"github.com/penstock/penstock/proxy/upstream/hop"
)

// Given checks a response that did not come over a connection, and removes the fields that end at
// this hop. A pool does the same to its responses.
func Given(resp *http.Response) error {
	if err := hop.CheckResponse(resp); err != nil {
		return fmt.Errorf("no origin may answer so: %w", err)
	}
	hop.Strip(resp.Header)
	return nil
}
