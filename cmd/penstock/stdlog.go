package main

import (
	"log"
	"log/slog"
	"strings"
)

// quotation is the text with which net/http introduces the bytes of an unsolicited response in its
// log message. These bytes may be private to a client, so they are not logged.
const quotation = " starting with "

// stdLog writes to the gateway's log the messages that net/http sends through package log. A
// transport has no setting for a logger of its own.
type stdLog struct{ log *slog.Logger }

// captureStdLog redirects the output of package log to l until restore is called.
func captureStdLog(l *slog.Logger) (restore func()) {
	writer, flags := log.Writer(), log.Flags()
	log.SetOutput(stdLog{l})
	log.SetFlags(0)
	return func() {
		log.SetOutput(writer)
		log.SetFlags(flags)
	}
}

// Write logs one message, up to the bytes that the message quotes.
func (s stdLog) Write(p []byte) (int, error) {
	message, _, _ := strings.Cut(strings.TrimSpace(string(p)), quotation)
	s.log.Warn(message)
	return len(p), nil
}
