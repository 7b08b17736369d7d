//go:build unix

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNoFilesLeft checks what clients, the log and the metrics say of a gateway that can open no
// file, and that it recovers.
func TestNoFilesLeft(t *testing.T) {
	origin := serveOrigin(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close") // the next request needs a new connection
		io.WriteString(w, "hello")
	})
	p := start(t, plain(origin))
	client, err := net.Dial("tcp", p.address(false, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	client.SetDeadline(time.Now().Add(patience))
	from := bufio.NewReader(client)
	ask := func(path string) (*http.Response, string) {
		fmt.Fprintf(client, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		resp, err := http.ReadResponse(from, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		return resp, string(body)
	}
	if resp, _ := ask("/before"); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	late, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(late)

	restore := takeFiles(t)
	resp, body := ask("/without")
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.Contains(resp.Header.Get("Proxy-Status"), "proxy_internal_error") || !strings.Contains(body, "no open files left") {
		t.Errorf("%s, %v, %s", resp.Status, resp.Header, body)
	}
	if err := syscall.Connect(late, ipv4(client.RemoteAddr())); err != nil {
		t.Error(err)
	}
	eventually(t, "the log of a failure to accept", func() bool {
		return strings.Contains(p.log.String(), "accepting failed") && strings.Contains(p.log.String(), "ulimit -n")
	})
	restore()

	if resp, _ := ask("/after"); resp.StatusCode != http.StatusOK {
		t.Errorf("with files again: %s", resp.Status)
	}
	_, metrics := get(t, browser(t), p.admin()+"/metrics")
	for _, want := range []string{`penstock_accept_failures_total{reason="no_files"} `, `penstock_upstream_no_files_total{upstream="origin",target="` + origin + `"} 1`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
	if strings.Contains(metrics, `penstock_accept_failures_total{reason="no_files"} 0`) {
		t.Error("the failure to accept is not counted")
	}
}

// takeFiles keeps the process from opening files until restore is called.
func takeFiles(t *testing.T) (restore func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	none := before
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	restore = func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(restore)
	return restore
}

// ipv4 is an address for syscall.Connect.
func ipv4(a net.Addr) *syscall.SockaddrInet4 {
	tcp := a.(*net.TCPAddr)
	return &syscall.SockaddrInet4{Port: tcp.Port, Addr: [4]byte(tcp.IP.To4())}
}
