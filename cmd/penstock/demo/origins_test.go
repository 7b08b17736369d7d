package demo

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestOriginsServeTheSampleConfiguration covers the paths of gateway.yaml, which names
// these origins.
func TestOriginsServeTheSampleConfiguration(t *testing.T) {
	files := website(time.Now())
	for _, c := range []struct {
		origin       http.Handler
		path         string
		status       int
		cacheControl string
		body         string
	}{
		{apiOrigin(), "/api/account", 200, "private, no-store", `"balance"`},
		{ordersOrigin(), "/orders", 200, "max-age=60", `"item_ids":[1,2,`},
		{ordersOrigin(), "/api/orders/", 200, "max-age=60", `"item_ids":[1,2,`},
		{ordersOrigin(), "/items/100", 200, "max-age=60", `"id":100`},
		{ordersOrigin(), "/api/orders/items/1", 200, "max-age=60", `"id":1`},
		{ordersOrigin(), "/items/101", 404, "", ""},
		{ordersOrigin(), "/items/x", 404, "", ""},
		{webOrigin(files), "/", 200, "", "<h1>"},
		{webOrigin(files), "/static/index.html", 200, "", "<h1>"},
		{webOrigin(files), files[1].name, 200, "", "use strict"},
		{webOrigin(files), "/live/book.txt", 200, "no-cache", "harbour"},
		{webOrigin(files), "/nothing", 404, "", ""},
	} {
		w := httptest.NewRecorder()
		c.origin.ServeHTTP(w, httptest.NewRequest(http.MethodGet, c.path, nil))
		if w.Code != c.status || w.Header().Get("Cache-Control") != c.cacheControl || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%s: %d, Cache-Control %q, %.60s", c.path, w.Code, w.Header().Get("Cache-Control"), w.Body)
		}
	}
}

func TestFilesHaveValidators(t *testing.T) {
	files := website(time.Now())
	r := httptest.NewRequest(http.MethodGet, files[0].name, nil)
	r.Header.Set("If-None-Match", files[0].etag())
	w := httptest.NewRecorder()
	webOrigin(files).ServeHTTP(w, r)
	if w.Code != http.StatusNotModified {
		t.Errorf("%d", w.Code)
	}
}
