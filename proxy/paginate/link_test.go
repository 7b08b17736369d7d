package paginate

import (
	"net/http"
	"net/url"
	"testing"
)

func TestNextOf(t *testing.T) {
	for line, want := range map[string]string{
		`</a?c=1>; rel="next"`: "/a?c=1", `</a>; rel=next`: "/a", `</a>; rel="prev next"`: "/a", `</a>; REL="NEXT"`: "/a", `</p>; rel="prev", </n>; rel="next"`: "/n",
		`</p>; title="a, <b>; rel=next"; rel=prev, </n>; rel=next`: "/n", `</a>; rel="nextish"`: "", `</a>`: "", `</a; rel=next`: "", "": "", `</a>; rel=first; rel=next`: "",
	} {
		if got := nextOf(http.Header{"Link": {line}}); got != want {
			t.Errorf("%s: %q", line, got)
		}
	}
}

// TestFollowStaysOnTheList has a link lead elsewhere: only its query counts.
func TestFollowStaysOnTheList(t *testing.T) {
	p := &Pages{}
	u := &url.URL{Path: "/api/orders", RawQuery: "limit=5"}
	got := p.Follow(u, http.Header{"Link": {`<http://169.254.169.254/secret?cursor=9>; rel="next"`}})
	if got == nil || got.String() != "/api/orders?cursor=9" {
		t.Errorf("%v", got)
	}
	if p.Follow(u, http.Header{}) != nil {
		t.Error("a page without a next one")
	}
}
