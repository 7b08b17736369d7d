package link

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestStockPrunes(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	end := &Endpoint{Address: strings.TrimPrefix(s.URL, "http://")}
	st := NewAhead(end, 2, time.Minute)
	if !st.fill(t.Context()) || st.Size() != 2 {
		t.Fatal("not filled")
	}
	st.prune(time.Now())
	if st.Size() != 2 {
		t.Error("a live connection was closed")
	}
	st.ready[0].conn.(*Conn).Conn.Close()
	st.prune(time.Now())
	if st.Size() != 1 {
		t.Error("a dead connection was kept")
	}
	st.prune(time.Now().Add(2 * time.Minute))
	if st.Size() != 0 || end.Open.Load() != 0 {
		t.Error("a connection that is too old was kept")
	}
	st.fill(t.Context())
	st.drain()
	if st.Size() != 0 || end.Open.Load() != 0 || st.take() != nil {
		t.Error("kept something after the end")
	}
}
