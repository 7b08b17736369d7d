package main

import (
	"fmt"
	"log/slog"
	"net"
	"time"
)

// notifyVariable names the socket on which systemd listens for the state of a service of
// Type=notify.
const notifyVariable = "NOTIFY_SOCKET"

// The states that are sent to systemd; see sd_notify(3).
const (
	notifyReady    = "READY=1"
	notifyStopping = "STOPPING=1"
)

// notifySystemd sends the state to systemd if systemd asked for notifications. It logs a failure,
// because systemd kills a service that never reports that it is ready.
func notifySystemd(env lookup, state string, log *slog.Logger) {
	socket, ok := env(notifyVariable)
	if !ok || socket == "" {
		return
	}
	if err := sendDatagram(socket, state); err != nil {
		log.Warn("the state could not be sent to systemd", "state", state, "error", err)
	}
}

func sendDatagram(socket, text string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", notifyVariable, err)
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(text))
	return err
}
