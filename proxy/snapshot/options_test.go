package snapshot_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy"
)

// TestOptionsOfTheServer: the asterisk asks about the gateway, whatever its routes are.
func TestOptionsOfTheServer(t *testing.T) {
	cfg, err := config.Parse("t.yaml", []byte("version: 1\nupstreams: {o: {targets: [\"http://127.0.0.1:1\"]}}\nroutes:\n  - {name: a, match: {path: /a}, upstream: o}\n"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := proxy.New(cfg, proxy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close(t.Context())
	r := httptest.NewRequest(http.MethodOptions, "*", nil)
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	if w.Code != http.StatusNoContent || w.Header().Get("Allow") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if err := proxy.Check(t.Context(), cfg); err != nil {
		t.Error(err)
	}
}
