package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The response times of the sample origins.
const (
	reportTime = 500 * time.Millisecond
	rateTime   = 300 * time.Millisecond
	itemTime   = 5 * time.Millisecond
	partTime   = 100 * time.Millisecond
)

// profileParts names the parts of a profile. Each part takes a call of its own.
var profileParts = []string{"user", "orders", "payments"}

// itemsPerOrder is the number of items that the order list names: the N of N+1.
const itemsPerOrder = 100

// apiOrigin is slow and sends freshness lifetimes.
func apiOrigin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/report", func(w http.ResponseWriter, r *http.Request) {
		pause(r.Context(), reportTime)
		writeJSON(w, "max-age=60, stale-while-revalidate=30", map[string]any{"report": "quarter", "total": 1_284_902.17, "pages": make([]int, 400)})
	})
	mux.HandleFunc("GET /api/rate", func(w http.ResponseWriter, r *http.Request) {
		pause(r.Context(), rateTime)
		writeJSON(w, "max-age=1, stale-while-revalidate=60", map[string]any{"pair": r.URL.Query().Get("k"), "rate": 1.0831})
	})
	mux.HandleFunc("GET /api/account", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, "private, no-store", map[string]any{"user": "demo", "balance": 12.5})
	})
	return mux
}

// quoteOrigin is the origin that the demo takes down.
func quoteOrigin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /quotes", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, "max-age=1, stale-if-error=600", map[string]any{"symbol": r.URL.Query().Get("k"), "price": 42.17})
	})
	return mux
}

// ordersOrigin makes clients send one request for a list and one for each of its items. It answers
// under /api/orders/ too.
func ordersOrigin() http.Handler {
	mux := http.NewServeMux()
	for _, path := range []string{"/orders", "/api/orders/{$}"} {
		mux.HandleFunc("GET "+path, listOrders)
	}
	for _, path := range []string{"/items", "/api/orders/items"} {
		mux.HandleFunc("GET "+path, showItems)
	}
	for _, path := range []string{"/items/{id}", "/api/orders/items/{id}"} {
		mux.HandleFunc("GET "+path, showItem)
	}
	for _, part := range profileParts {
		mux.HandleFunc("GET /profile/"+part, func(w http.ResponseWriter, r *http.Request) {
			pause(r.Context(), partTime)
			writeJSON(w, "no-store", map[string]any{"part": part})
		})
	}
	return mux
}

func listOrders(w http.ResponseWriter, _ *http.Request) {
	ids := make([]int, itemsPerOrder)
	for i := range ids {
		ids[i] = i + 1
	}
	writeJSON(w, "max-age=60", map[string]any{"order": 7, "item_ids": ids})
}

func showItem(w http.ResponseWriter, r *http.Request) {
	found, ok := item(r.PathValue("id"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	pause(r.Context(), itemTime)
	writeJSON(w, "max-age=60", found)
}

// showItems returns many items at once, in the time of one.
func showItems(w http.ResponseWriter, r *http.Request) {
	items := []any{}
	for id := range strings.SplitSeq(r.URL.Query().Get("ids"), ",") {
		if found, ok := item(id); ok {
			items = append(items, found)
		}
	}
	pause(r.Context(), itemTime)
	writeJSON(w, "max-age=60", map[string]any{"data": items})
}

func item(text string) (map[string]any, bool) {
	id, err := strconv.Atoi(text)
	if err != nil || id < 1 || id > itemsPerOrder {
		return nil, false
	}
	return map[string]any{"id": id, "name": fmt.Sprintf("item %d", id), "price": float64(id) * 1.25}, true
}

// webOrigin serves static files with validators and, like many file servers, without Cache-Control.
// The same files are under /static/, and under /live/ with Cache-Control: no-cache.
func webOrigin(files []*file) http.Handler {
	mux := http.NewServeMux()
	for _, f := range files {
		mux.Handle("GET "+f.name, f)
		mux.Handle("GET /static"+f.name, f)
		mux.HandleFunc("GET /live"+f.name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-cache")
			f.ServeHTTP(w, r)
		})
	}
	mux.Handle("GET /{$}", files[0])
	return mux
}

// ServeHTTP answers with the file, a range of it, or 304.
func (f *file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", f.contentType)
	w.Header().Set("ETag", f.etag())
	http.ServeContent(w, r, "", f.modified, bytes.NewReader(f.body))
}

func writeJSON(w http.ResponseWriter, cacheControl string, v any) {
	body := encode(v)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("Cache-Control", cacheControl)
	_, _ = w.Write(body) // the origin does not care about a lost client
}

// fixed returns the origins with the addresses that the sample configuration names.
func fixed() []struct {
	name, address string
	handler       http.Handler
} {
	return []struct {
		name, address string
		handler       http.Handler
	}{
		{"api", "127.0.0.1:7001", apiOrigin()},
		{"orders", "127.0.0.1:7002", ordersOrigin()},
		{"web", "127.0.0.1:7003", webOrigin(website(time.Now()))},
	}
}

// Origins serves the sample origins at fixed addresses until ctx ends, for a gateway with its own
// configuration.
func Origins(ctx context.Context, out io.Writer) error {
	var running []*origin
	defer func() {
		for _, o := range running {
			o.close()
		}
	}()
	for _, f := range fixed() {
		o, err := listen(f.name, f.address, f.handler)
		if err != nil {
			return err
		}
		running = append(running, o)
		fmt.Fprintf(out, "%-7s %s\n", o.name, o.url())
	}
	fmt.Fprintln(out, "The sample origins are up. Start a gateway with penstock run; stop the origins with Ctrl-C.")
	<-ctx.Done()
	return nil
}
