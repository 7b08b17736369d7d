package paginate

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/proxy/rawjson"
)

func pages(t testing.TB) *Pages {
	t.Helper()
	next, err := rawjson.ParsePath("pagination.next_cursor")
	if err != nil {
		t.Fatal(err)
	}
	return &Pages{
		Limit: Limit{"limit", 50, 100}, Cursor: "cursor", Next: next, MaxBody: 200,
		Path: func(*http.Request) string { return "/public" },
	}
}

func TestQuery(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", "limit=50"}, {"limit=50", "limit=50"}, {"limit=1000", "limit=100"}, {"limit=100&a=1", "a=1&limit=100"}, {"a=1&&limit=007", "a=1&limit=7"},
		{"limit=99999999999999999999", "limit=100"}, {"li%6dit=%31", "limit=1"}, {"cursor=&a=%zz", "a=%zz&limit=50"}, {"cursor=x", "cursor=x&limit=50"},
		{"limit=0", ""}, {"limit=-1", ""}, {"limit=", ""}, {"limit", ""}, {"limit=1.5", ""}, {"limit=x", ""}, {"limit=1&limit=1", ""}, {"limit=%zz", ""},
		{"a=1;limit=1000", ""}, {"limit=1;b=2", ""}, {"limit=+1", ""}, {"limit=٣", ""},
	} {
		got, err := pages(t).Query(tt.in)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q: %q, %v", tt.in, got, err)
		}
	}
	if got, err := (&Pages{Cursor: "c"}).Query("limit=x&c=&b"); got != "limit=x&b" || err != nil {
		t.Errorf("without a limit: %q, %v", got, err)
	}
}

func TestQueryProperty(t *testing.T) {
	p := pages(t)
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.StringMatching(`((limit|cursor|a|%6cimit)?=?[0-9a-z%;+]{0,6}&?){0,5}`).Draw(t, "query")
		once, err := p.Query(raw)
		if err != nil {
			return
		}
		if twice, err := p.Query(once); err != nil || twice != once {
			t.Fatalf("%q → %q → %q, %v", raw, once, twice, err)
		}
		cursor := rapid.String().Draw(t, "cursor")
		values, _ := url.ParseQuery(p.following(once, cursor))
		if got := values["cursor"]; len(got) != 1 || got[0] != cursor {
			t.Fatalf("the cursor %q is in the next query as %q", cursor, got)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestLinks(t *testing.T) {
	long := `{"pagination":{"next_cursor":"a"}}` + strings.Repeat(" ", 200)
	for _, tt := range []struct {
		name, content string
		status        int
		media, link   string
		want          string
	}{
		{"a cursor", `{"pagination":{"next_cursor":"a b&>"}}`, 200, "application/json", "", `</public?x=%3E%22&limit=50&cursor=a+b%26%3E>; rel="next"`},
		{"a number", `{"pagination":{"next_cursor":10}}`, 200, "application/hal+json; charset=utf-8", "", `</public?x=%3E%22&limit=50&cursor=10>; rel="next"`},
		{"the last", `{"pagination":{"next_cursor":null}}`, 200, "application/json", "", ""},
		{"empty", `{"pagination":{"next_cursor":""}}`, 200, "application/json", "", ""},
		{"not there", `[]`, 200, "application/json", "", ""},
		{"an object", `{"pagination":{"next_cursor":{}}}`, 200, "application/json", "", ""},
		{"not JSON", `{"pagination":{"next_cursor":"a"`, 200, "application/json", "", ""},
		{"said to be text", `{"pagination":{"next_cursor":"a"}}`, 200, "text/plain", "", `</public?x=%3E%22&limit=50&cursor=a>; rel="next"`},
		{"said to be something else", `{"pagination":{"next_cursor":"a"}}`, 200, "text/html", "", ""},
		{"an error", `{"pagination":{"next_cursor":"a"}}`, 500, "application/json", "", ""},
		{"too long", long, 200, "application/json", "", ""},
		{"the origin's own", `{"pagination":{"next_cursor":"a"}}`, 200, "application/json", `</b>; rel="next"`, `</b>; rel="next"`},
		{"beside the origin's", `{"pagination":{"next_cursor":"a"}}`, 200, "application/json", `</b>; rel=prev`, `</b>; rel=prev|</public?x=%3E%22&limit=50&cursor=a>; rel="next"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := &Linked{pages(t), roundTrip(func(*http.Request) (*http.Response, error) {
				h := http.Header{"Content-Type": {tt.media}}
				if tt.link != "" {
					h["Link"] = []string{tt.link}
				}
				return &http.Response{StatusCode: tt.status, Header: h, ContentLength: -1, Body: io.NopCloser(strings.NewReader(tt.content))}, nil
			})}
			resp, err := l.RoundTrip(&http.Request{Method: "GET", URL: &url.URL{Path: "/upstream", RawQuery: `x=>"&cursor=old&limit=50`}})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(resp.Header["Link"], "|"); got != tt.want {
				t.Errorf("links %s", got)
			}
			if got, err := io.ReadAll(resp.Body); string(got) != tt.content || err != nil {
				t.Errorf("the content is now %q, %v", got, err)
			}
		})
	}
}

func TestTruncatedContentStaysTruncated(t *testing.T) {
	broken := errors.New("broken")
	l := &Linked{pages(t), roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(io.MultiReader(strings.NewReader("{"), iotest.ErrReader(broken)))}, nil
	})}
	resp, err := l.RoundTrip(&http.Request{Method: "GET", URL: &url.URL{Path: "/"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(resp.Body); string(got) != "{" || !errors.Is(err, broken) {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzNext(f *testing.F) {
	for _, s := range []string{`</a>; rel=next`, `</a>; rel="prev", </b>; title="a, <b>"; rel="x NEXT"`, `<`, `<>;rel`, `</a>; title="\"`, `</a>;rel=prev;rel=next`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		u, ok := Next(http.Header{"Link": {line}})
		if ok && u == nil {
			t.Error("there is a link, and no target")
		}
	})
}

func TestNext(t *testing.T) {
	for line, want := range map[string]string{
		`</a>; rel=next`: "/a", `</a>; rel="prev", </b>; title="a, </c>; rel=next"; rel="x NEXT"`: "/b", `</a>; rel=prev; rel=next`: "", `</a>`: "", ``: "",
	} {
		got := ""
		if u, ok := Next(http.Header{"Link": {line}}); ok {
			got = u.String()
		}
		if got != want {
			t.Errorf("%s: %q", line, got)
		}
	}
}
