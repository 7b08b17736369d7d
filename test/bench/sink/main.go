// Sink takes whatever is posted to it and throws it away, as a collector of spans that costs next to nothing.
//
//	sink ADDRESS
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "use: sink ADDRESS")
		os.Exit(2)
	}
	s := &http.Server{Addr: os.Args[1], ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a sender that breaks off is its own concern
		w.Header().Set("Content-Type", "application/x-protobuf")
	})}
	fmt.Fprintln(os.Stderr, "sink:", s.ListenAndServe())
	os.Exit(1)
}
