package config

// Paginate is about lists that come in pages.
type Paginate struct {
	// Limit is how many elements a page has.
	Limit *PageLimit `key:"limit"`
	// Cursor is what leads from a page to the next.
	Cursor *PageCursor `key:"cursor"`
	// LinkHeader adds the link to the next page to each (RFC 8288).
	LinkHeader bool `key:"link_header"`
	// Prefetch is how many of the pages that follow are fetched into the cache while a client reads one; 0: none.
	Prefetch int `key:"prefetch" min:"0" max:"10"`
}

// PageLimit is how many elements a page has. Whatever is asked for, what goes upstream and what is stored has one form of it.
type PageLimit struct {
	// Param is the query's parameter.
	Param string `key:"param" required:"true" as:"query_param"`
	// Default is what holds where the parameter is left out.
	Default int `key:"default" required:"true" min:"1" max:"1000000"`
	// Max is the most; whoever asks for more gets that.
	Max int `key:"max" required:"true" min:"1" max:"1000000"`
}

// PageCursor is what leads from a page to the next.
type PageCursor struct {
	// Param is the query's parameter.
	Param string `key:"param" required:"true" as:"query_param"`
	// Next leads to the next page's cursor in the content of a page. On the last it is not there, null or empty.
	Next string `key:"next" required:"true" as:"json_path"`
}
