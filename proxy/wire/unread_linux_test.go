package wire

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestCloseIdleKeepsUnreadRequest checks that closing idle connections does not lose a request that
// has been sent but not read.
func TestCloseIdleKeepsUnreadRequest(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := Attach(new(http.Server), nil, nil).Wrap(accepted, accepted)
	c.used.Store(true)
	if _, err := io.WriteString(client, "x"); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); !unread(c.raw); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the byte does not come")
		}
	}
	if !c.CloseIdle() {
		t.Fatal("nothing is said to come")
	}
	b := make([]byte, 8)
	if n, err := c.raw.Read(b); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if c.CloseIdle() {
		t.Error("something is said to come")
	}
	if _, err := client.Read(b); err != io.EOF {
		t.Errorf("not closed: %v", err)
	}
}
