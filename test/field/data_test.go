package field

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/penstock/penstock/test/gatewaytest"
)

// dataRoutes has a part, a list with a foreach, a batch, pages, and a merge.
const dataRoutes = `routes:
  - name: whole
    match: {path: "/whole/{id}", methods: [GET]}
    aggregate: {parts: {first: {upstream: origin, path: "/{id}"}, next: {upstream: origin, path: "/next/{first.id}?q={first.id}", on_error: "null"}}}
  - name: each
    match: {path: "/each/{id}", methods: [GET]}
    aggregate: {parts: {list: {upstream: origin, path: "/{id}"}, all: {upstream: origin, foreach: "list.items.#.id", path: "/one/{}"}}}
  - name: picked
    match: {path: "/picked/{id}", methods: [GET]}
    aggregate: {parts: {it: {upstream: origin, path: "/{id}", select: items}}}
  - name: merged
    match: {path: "/merged/{id}", methods: [GET]}
    aggregate: {merge: deep, parts: {base: {upstream: origin, path: "/base"}, extra: {upstream: origin, path: "/{id}", on_error: omit}}}
  - name: batch
    match: {path: "/bat/{id}", methods: [GET]}
    batch: {upstream: origin, path: "/many?ids={ids}", key: id, items: data, window: 200ms}
  - name: pages
    match: {path: "/pages/*"}
    upstream: origin
    paginate: {cursor: {param: cursor, next: next}, link_header: true}
`

// dataGateway is a gateway whose origin answers by the last part of the path, and answers anything else with {}.
func dataGateway(t *testing.T, bodies map[string]string) (*gatewaytest.Gateway, *gatewaytest.Origin) {
	t.Helper()
	o := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		body, ok := bodies[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]]
		switch {
		case body == "204":
			w.WriteHeader(http.StatusNoContent)
			return
		case !ok:
			body = "{}"
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body)) // the client's going is not the origin's concern
	})
	return gatewaytest.Start(t, "cache: {memory: {size: 64MiB, max_object: 64KiB}}\nupstreams: {origin: {targets: ["+o.URL+"]}}\n"+dataRoutes), o
}

// oddities are contents that origins send, and what clients may be given of them.
var oddities = map[string][2]string{
	"a name cut in an emoji": {`{"n":"bob \ud83d"}`, `{"n":"bob \ud83d"}`}, "the other half": {`{"n":"\ude00"}`, `{"n":"\ude00"}`}, "half a name": {`{"\ud83d":1}`, `{"\ud83d":1}`},
	"a name twice": {`{"a":1,"a":2}`, `{"a":1,"a":2}`}, "a long number": {`{"n":123456789012345678901234567890.10}`, `{"n":123456789012345678901234567890.10}`},
	"deep": {`{"n":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + "}", `{"n":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + "}"},
	"NaN":  {`{"n":NaN}`, `{"n":null}`}, "infinity": {`{"n":[-Infinity,Infinity]}`, `{"n":[null,null]}`}, "a byte order mark": {"\ufeff" + `{"n":1}`, `{"n":1}`},
	"Latin-1": {"{\"n\":\"caf\xe9\"}", `{"n":"caf` + "\ufffd" + `"}`}, "a tab in a string": {"{\"n\":\"a\tb\"}", `{"n":"a\u0009b"}`},
}

// TestOneOddValueTakesNothingElseAway: not the part, not the elements beside it, not the link to the next page.
func TestOneOddValueTakesNothingElseAway(t *testing.T) {
	for name, odd := range oddities {
		t.Run(name, func(t *testing.T) {
			mark, plain := "", strings.TrimPrefix(odd[0], "\ufeff")
			if plain != odd[0] {
				mark = "\ufeff"
			}
			g, o := dataGateway(t, map[string]string{
				"x": odd[0], "many": mark + `{"data":[{"id":1},{"id":2,"odd":` + plain + `},{"id":3}]}`, "page": mark + `{"items":[` + plain + `],"next":"n2"}`,
			})
			if r := g.Get("/whole/x"); r.Status != 200 || !strings.HasPrefix(r.Body, `{"first":`+odd[1]+`,`) {
				t.Errorf("the part: %d %s", r.Status, r.Body)
			}
			before := o.Calls()
			first := g.Go("/bat/1")
			gatewaytest.Eventually(t, "the call is made", func() bool { return o.Calls() > before })
			second, third := g.Go("/bat/2"), g.Go("/bat/3")
			for id, c := range map[string]<-chan *gatewaytest.Response{"1": first, "2": second, "3": third} {
				if r := g.Await(c); r.Status != 200 || !strings.HasPrefix(r.Body, `{"id":`+id) {
					t.Errorf("element %s: %d %s", id, r.Status, r.Body)
				}
			}
			if n := o.Calls() - before; n > 3 {
				t.Errorf("%d calls", n)
			}
			r := g.Get("/pages/page")
			if link := r.Header.Get("Link"); link != `</pages/page?cursor=n2>; rel="next"` || r.Body != mark+`{"items":[`+plain+`],"next":"n2"}` {
				t.Errorf("the page: %q %q", link, r.Body)
			}
		})
	}
}

// TestAPageThatCanNotBeReadSaysSo: to a client that follows links a page without one is the last.
func TestAPageThatCanNotBeReadSaysSo(t *testing.T) {
	for body, detail := range map[string]string{
		`{"next":"a"`: "page-not-json", `{"next":"a"}` + strings.Repeat(" ", 70<<10): "page-too-large", `{"next":{"id":1}}`: "cursor-unusable",
		`{"next":"\ud83d"}`: "cursor-unusable", `{"next":"a","next":"b"}`: "cursor-unusable", `{"next":"` + strings.Repeat("x", 5000) + `"}`: "cursor-unusable",
		`{"next":null}`: "", `{"next":""}`: "", `{}`: "", `null`: "", `[]`: "",
	} {
		g, _ := dataGateway(t, map[string]string{"page": body})
		r := g.Get("/pages/page")
		if told := strings.Contains(r.Header.Get("Cache-Status")+strings.Join(r.Header["Cache-Status"], ","), "detail="+detail); r.Header.Get("Link") != "" || detail != "" && !told || detail == "" && strings.Contains(strings.Join(r.Header["Cache-Status"], ","), "/pages") {
			t.Errorf("%.40s: %q %q", body, r.Header["Link"], r.Header["Cache-Status"])
		}
	}
}

// TestNothingIsAnEmptyList: null, a field that is left out, and no content are the list without elements, and no error.
func TestNothingIsAnEmptyList(t *testing.T) {
	for _, empty := range []string{`{"data":[],"items":[]}`, `{"data":null,"items":null}`, `{}`, `null`, `204`, ` `} {
		g, o := dataGateway(t, map[string]string{"x": empty, "many": empty})
		if r := g.Get("/each/x"); r.Status != 200 || !strings.HasSuffix(r.Body, `"all":[]}`) {
			t.Errorf("foreach of %s: %d %s", empty, r.Status, r.Body)
		}
		if r := g.Get("/picked/x"); r.Status != 200 || r.Body != `{"it":null}` && r.Body != `{"it":[]}` {
			t.Errorf("select of %s: %d %s", empty, r.Status, r.Body)
		}
		if r := g.Get("/whole/x"); r.Status != 200 || !strings.HasSuffix(r.Body, `"next":null}`) {
			t.Errorf("a value of %s: %d %s", empty, r.Status, r.Body)
		}
		before := o.Calls()
		if r := g.Get("/bat/7"); r.Status != 404 || o.Calls() != before+1 {
			t.Errorf("batch of %s: %d, %d calls", empty, r.Status, o.Calls()-before)
		}
	}
}

// TestValuesMakeNoEndlessURL: the part fails, and the origin is not asked.
func TestValuesMakeNoEndlessURL(t *testing.T) {
	for name, id := range map[string]string{
		"digits": strings.Repeat("9", 50<<10), "a string": `"` + strings.Repeat("x", 50<<10) + `"`, "what escaping makes long": `"` + strings.Repeat("ä", 3000) + `"`,
		"just over it": strings.Repeat("1", 4000), "spaces": `"` + strings.Repeat(" ", 3000) + `"`,
	} {
		g, o := dataGateway(t, map[string]string{"x": `{"id":` + id + `}`})
		if r := g.Get("/whole/x"); r.Status != 200 || !strings.HasSuffix(r.Body, `"next":null}`) || o.Calls() != 1 {
			t.Errorf("%s: %d, %d calls", name, r.Status, o.Calls())
		}
	}
	g, o := dataGateway(t, nil)
	if r := g.Get("/bat/" + strings.Repeat("%22", 2500)); r.Status < 400 || r.Status > 499 || o.Calls() != 0 {
		t.Errorf("an id: %d, %d calls", r.Status, o.Calls())
	}
}

// TestAnIDIsOneID: an id that the origin would take for several is refused.
func TestAnIDIsOneID(t *testing.T) {
	g, o := dataGateway(t, nil)
	for _, id := range []string{"1%2C2", "1,2", ",", "1%2C", "%2C1", "1%252C2", "1%2c2"} {
		if r := g.Get("/bat/" + id); r.Status != 400 || o.Calls() != 0 {
			t.Errorf("%s: %d, %d calls", id, r.Status, o.Calls())
		}
	}
}

// TestAnIDInAnotherSpellingIsFound: the origin has taken the one for the other. Another id is not.
func TestAnIDInAnotherSpellingIsFound(t *testing.T) {
	for asked, c := range map[string]struct {
		id     string
		status int
	}{
		"007": {`7`, 200}, "7": {`"007"`, 200}, "ABC": {`"abc"`, 200}, "7.0": {`7`, 200}, "+7": {`7`, 200}, "caf\u0065\u0301": {`"café"`, 200}, " a": {`"a"`, 200}, "a%20b": {`"a b"`, 200},
		"5F9D1C1E-0000-4000-8000-00000000000A": {`"5f9d1c1e0000400080000000000000 0a"`, 404}, "{5F9D1C1E-0000-4000-8000-00000000000A}": {`"5f9d1c1e-0000-4000-8000-00000000000a"`, 200},
		"8": {`9`, 404}, "12345678901234567890": {`12345678901234567891`, 404}, "b": {`"c"`, 404},
	} {
		g, _ := dataGateway(t, map[string]string{"many": `{"data":[{"id":` + c.id + `}]}`})
		if r := g.Get("/bat/" + url.PathEscape(asked)); r.Status != c.status {
			t.Errorf("%s, %s came: %d %s", asked, c.id, r.Status, r.Body)
		}
	}
}

// TestAPartThatDoesNotFitIsTreatedAsItsOnErrorSays: also where that shows only when the parts are merged.
func TestAPartThatDoesNotFitIsTreatedAsItsOnErrorSays(t *testing.T) {
	for _, extra := range []string{`[1]`, `"text"`, `7`, `true`, `{"a":2}`, `{"o":{"x":9}}`, `{"o":3}`, `{"b":1,"b":2}`} {
		g, _ := dataGateway(t, map[string]string{"base": `{"a":1,"o":{"x":1}}`, "x": extra})
		if r := g.Get("/merged/x"); r.Status != 200 || r.Body != `{"a":1,"o":{"x":1}}` || r.Header.Get("X-Penstock-Partial") != "extra" {
			t.Errorf("%s: %d %s", extra, r.Status, r.Body)
		}
	}
	g, _ := dataGateway(t, map[string]string{"base": `{"a":1}`, "x": `{"b":2}`})
	wantBody(t, g.Get("/merged/x"), `{"a":1,"b":2}`)
}

// TestAPartsErrorKeepsWhatAClientNeeds: the fields that RFC 9110 §15 wants with a status, and what the part says itself.
func TestAPartsErrorKeepsWhatAClientNeeds(t *testing.T) {
	for status, field := range map[int]string{
		401: "Www-Authenticate", 405: "Allow", 416: "Content-Range", 426: "Upgrade", 429: "Retry-After", 503: "Retry-After", 415: "Accept",
	} {
		g, o := dataGateway(t, nil)
		o.Answer(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(field, "7")
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"detail":"the reason"}`)) // as above
		})
		r := g.Get("/whole/x")
		if kept := r.Header.Get(field) == "7" || field == "Upgrade"; r.Status != status || !kept || !strings.Contains(r.Body, `"explanation":{"detail":"the reason"}`) {
			t.Errorf("%d: %d %v %s", status, r.Status, r.Header, r.Body)
		}
	}
}
