package field

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/penstock/penstock/test/gatewaytest"
)

// purge sends a purge to the gateway's admin API.
func purge(t *testing.T, g *gatewaytest.Gateway, body string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "http://localhost/purge", strings.NewReader(body))
	w := httptest.NewRecorder()
	g.Admin("", func(context.Context) error { return nil }).ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("purging %s: %d %s", body, w.Code, w.Body)
	}
}
