package board

import (
	"embed"
	"net/http"
)

// pageFiles are all files of the page. It loads nothing from other servers.
//
//go:embed page
var pageFiles embed.FS

// pagePolicy forbids loading, running, framing or sending anything from or to another origin.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Page serves the page at / and its files under /board/. It holds no figures: the page reads them
// from the API with the admin token.
func Page() http.Handler {
	mux := http.NewServeMux()
	for path, file := range map[string]string{
		"GET /{$}": "index.html", "GET /board/style.css": "style.css", "GET /board/app.js": "app.js", "GET /board/charts.js": "charts.js", "GET /board/icon.svg": "icon.svg",
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Content-Security-Policy", pagePolicy)
			h.Set("Cache-Control", "no-cache")
			h.Set("Referrer-Policy", "no-referrer")
			h.Set("X-Content-Type-Options", "nosniff")
			http.ServeFileFS(w, r, pageFiles, "page/"+file)
		})
	}
	return mux
}
