package redistest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

const commandTimeout = 10 * time.Second

// Do sends one command on a new connection and returns the reply: string, int64, nil or []any. It
// returns an error reply as an error.
func (s *Server) Do(args ...string) (any, error) {
	conn, err := net.DialTimeout("tcp", s.Addr, commandTimeout)
	if err != nil {
		return nil, fmt.Errorf("redistest: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(commandTimeout)); err != nil {
		return nil, fmt.Errorf("redistest: %w", err)
	}
	if _, err := conn.Write(appendCommand(nil, args)); err != nil {
		return nil, fmt.Errorf("redistest: %w", err)
	}
	return readReply(bufio.NewReader(conn))
}

// Must is Do for a command that must succeed.
func (s *Server) Must(args ...string) any {
	s.tb.Helper()
	reply, err := s.Do(args...)
	if err != nil {
		s.tb.Fatalf("redistest: %s: %v", strings.Join(args, " "), err)
	}
	return reply
}

// Keys returns the keys of the first database that start with prefix.
func (s *Server) Keys(prefix string) (names []string) {
	s.tb.Helper()
	list, _ := s.Must("KEYS", prefix+"*").([]any)
	for _, name := range list {
		names = append(names, fmt.Sprint(name))
	}
	return names
}

// Replicated returns how many bytes of its replication stream the server has: a primary has sent
// them, a replica has applied them. It returns -1 if that is not known.
func (s *Server) Replicated() int {
	for _, name := range []string{"slave_repl_offset", "master_repl_offset"} { // only a replica has the first
		if value, err := s.info("replication", name); err == nil {
			if n, err := strconv.Atoi(value); err == nil {
				return n
			}
		}
	}
	return -1
}

// info returns one value of INFO.
func (s *Server) info(section, name string) (string, error) {
	reply, err := s.Do("INFO", section)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(fmt.Sprint(reply)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			return value, nil
		}
	}
	return "", fmt.Errorf("redistest: INFO %s of %s has no %s", section, s.Addr, name)
}

func appendCommand(b []byte, args []string) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(args))
	for _, arg := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	return b
}

// readReply reads one reply in RESP2.
func readReply(r *bufio.Reader) (any, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("redistest: %w", err)
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return nil, errors.New("redistest: empty reply")
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+':
		return rest, nil
	case '-':
		return nil, errors.New(rest)
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("redistest: reply %q: %w", line, err)
	}
	switch {
	case kind == ':':
		return n, nil
	case n < 0:
		return nil, nil
	case kind == '$':
		b := make([]byte, n+2)
		_, err := io.ReadFull(r, b)
		return string(b[:n]), err
	case kind == '*':
		list := make([]any, n)
		for i := range list {
			if list[i], err = readReply(r); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	return nil, fmt.Errorf("redistest: reply %q", line)
}
