package deliver

import (
	"maps"
	"net/http"
	"strings"

	"github.com/penstock/penstock/proxy/store"
)

// SetHeader makes dst equal to src, which is another map.
func SetHeader(dst, src http.Header) {
	clear(dst)
	maps.Copy(dst, src)
}

// addFields adds the stored field lines to h. Their names are canonical. All values share one
// array.
func addFields(h http.Header, rep *store.Representation) {
	values := make([]string, 0, strings.Count(rep.Head, "\n"))
	for name, value := range rep.Fields() {
		if before := h[name]; before != nil {
			h[name] = append(before, value)
			continue
		}
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
}
