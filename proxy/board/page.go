package board

import (
	"embed"
	"net/http"
)

// pageFiles are the page: everything that it needs, and nothing from elsewhere.
//
//go:embed page
var pageFiles embed.FS

// Nothing from elsewhere is loaded, run, framed or sent to.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Page serves the page at / and its parts under /board/. It holds no figures: those come from the API, which asks for the token.
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
