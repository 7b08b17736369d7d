package main

import (
	"log"
	"log/slog"
	"strings"
)

// quotation is how net/http introduces what it quotes of a response that nobody asked for. That may be anybody's data.
const quotation = " starting with "

// stdLog takes what net/http says through package log, where a transport can't be given a logger, into the gateway's own.
type stdLog struct{ log *slog.Logger }

// captureStdLog sends package log to l until the function that it returns is called.
func captureStdLog(l *slog.Logger) (restore func()) {
	writer, flags := log.Writer(), log.Flags()
	log.SetOutput(stdLog{l})
	log.SetFlags(0)
	return func() {
		log.SetOutput(writer)
		log.SetFlags(flags)
	}
}

// Write logs one message, without what it quotes.
func (s stdLog) Write(p []byte) (int, error) {
	message, _, _ := strings.Cut(strings.TrimSpace(string(p)), quotation)
	s.log.Warn(message)
	return len(p), nil
}
