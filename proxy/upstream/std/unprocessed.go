package std

import (
	"errors"
	"strings"

	"golang.org/x/net/http2"
)

// unprocessedTexts mark the errors with which net/http says that an HTTP/2 server did not process a
// request. The errors have no other mark. They mean that the stream is above the last one that a
// GOAWAY names, that its connection took no more streams, or that there was no connection left for
// it.
var unprocessedTexts = [...]string{
	"received Server's graceful shutdown GOAWAY", "Transport received GOAWAY from server", "client conn not usable", "client conn could not be established",
	"; REFUSED_STREAM", "cannot rewind body after connection loss",
}

// unprocessed reports whether err says that the target did not process the request, so that it may
// be sent again whatever its method (RFC 9113 §6.8, §8.7).
func unprocessed(err error) bool {
	if err == nil {
		return false
	}
	var stream http2.StreamError
	if errors.As(err, &stream) {
		return stream.Code == http2.ErrCodeRefusedStream
	}
	s := err.Error()
	for _, text := range unprocessedTexts {
		if strings.Contains(s, text) {
			return true
		}
	}
	return false
}

// peerProtocolError reports whether the target ended the stream with PROTOCOL_ERROR. Some do so
// with streams above their limit (RFC 9113 §5.1.2).
func peerProtocolError(err error) bool {
	var stream http2.StreamError
	return errors.As(err, &stream) && stream.Code == http2.ErrCodeProtocol
}
