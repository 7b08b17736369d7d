package config

// Paginate configures lists that are split into pages.
type Paginate struct {
	// Limit is the number of elements in a page.
	Limit *PageLimit `key:"limit"`
	// Cursor is the link from a page to the next.
	Cursor *PageCursor `key:"cursor"`
	// LinkHeader adds a Link field with the next page to each page (RFC 8288).
	LinkHeader bool `key:"link_header"`
	// Prefetch is the number of following pages that the gateway fetches into the cache while a
	// client reads one. 0 turns this off.
	Prefetch int `key:"prefetch" min:"0" max:"10"`
}

// PageLimit is the number of elements in a page. The gateway normalises each request's limit, so
// that the upstream and the cache see one form of it.
type PageLimit struct {
	// Param is the query parameter.
	Param string `key:"param" required:"true" as:"query_param"`
	// Default is the limit if the parameter is omitted.
	Default int `key:"default" required:"true" min:"1" max:"1000000"`
	// Max is the largest limit. A larger one is lowered to it.
	Max int `key:"max" required:"true" min:"1" max:"1000000"`
}

// PageCursor is the link from a page to the next.
type PageCursor struct {
	// Param is the query parameter.
	Param string `key:"param" required:"true" as:"query_param"`
	// Next is the path to the next page's cursor in the content of a page. On the last page it is
	// missing, null or empty.
	Next string `key:"next" required:"true" as:"json_path"`
}
