package field

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/penstock/penstock/test/gatewaytest"
)

// The origin confirms a stored response for one client, and tells that client something beside. It gets that, whether it has the response from the gateway or
// has it already; clients that get the stored response later do not.
func TestFieldsOfA304ReachTheClientWhoseRequestItAnswers(t *testing.T) {
	for _, tt := range []struct {
		name, route, field, value, control string
		conditional                        bool // the client has the response already
		mine, others                       bool // it reaches the client; and others
	}{
		{name: "a cookie", field: "Set-Cookie", value: "a=1", mine: true},
		{name: "a cookie for a client that has the response", field: "Set-Cookie", value: "a=1", conditional: true, mine: true},
		{name: "an old cookie", field: "Set-Cookie2", value: "a=1", mine: true},
		{name: "a field that no-cache names", field: "X-User", value: "alice", control: `, no-cache="x-user"`, mine: true},
		{name: "a field that private names", field: "X-User", value: "alice", control: `, private="x-user"`, mine: true},
		{name: "a field that private names, for a client that has the response", field: "X-User", value: "alice", control: `, private="x-user"`, conditional: true, mine: true},
		{name: "a cookie that the route removes", route: ", set_cookie: strip", field: "Set-Cookie", value: "a=1"},
		{name: "a field for all", field: "X-Version", value: "2", mine: true, others: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			control := "max-age=60" + tt.control
			o := gatewaytest.NewOrigin(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", control)
				w.Header().Set("Etag", `"v1"`)
				if r.Header.Get("If-None-Match") == "" {
					io.WriteString(w, "hello")
					return
				}
				w.Header().Set(tt.field, tt.value)
				w.WriteHeader(http.StatusNotModified)
			})
			g := gatewaytest.Route(t, o.URL, "cache: {enabled: true"+tt.route+"}")
			g.Get("/")
			g.Clock.Advance(61 * time.Second)
			var fields []string
			if tt.conditional {
				fields = []string{"If-None-Match", `"v1"`}
			}
			mine, other := g.Get("/", fields...), g.Get("/")
			if o.Calls() != 2 || !other.Hit() || other.Body != "hello" {
				t.Fatalf("%d calls; then %d %q, hit %v", o.Calls(), other.Status, other.Body, other.Hit())
			}
			if got := mine.Header.Get(tt.field) == tt.value; got != tt.mine {
				t.Errorf("%s reached the client whose request the 304 answers: %v, want %v (%v)", tt.field, got, tt.mine, mine.Header)
			}
			if got := other.Header.Get(tt.field) == tt.value; got != tt.others {
				t.Errorf("%s reached another client: %v, want %v", tt.field, got, tt.others)
			}
		})
	}
}
