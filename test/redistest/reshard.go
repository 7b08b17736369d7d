package redistest

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// MoveSlot moves a slot of a Cluster and its keys to another master, as `redis-cli --cluster
// reshard` does: the keys go one by one while clients use them. It calls pause after each step, so
// that clients meet each state in between. masters are all masters of the Cluster. A step that
// fails is tried again for some seconds.
func MoveSlot(slot string, from, to *Server, masters []*Server, pause func()) error {
	source, err := from.nodeID()
	if err != nil {
		return err
	}
	target, err := to.nodeID()
	if err != nil {
		return err
	}
	if err := insist(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", source); err != nil {
		return err
	}
	if err := insist(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", target); err != nil {
		return err
	}
	pause()
	if err := moveKeys(slot, from, to, pause); err != nil {
		return err
	}
	owners := []*Server{to, from} // in this order: a slot without an owner would lose its keys
	for _, s := range masters {
		if s != from && s != to {
			owners = append(owners, s)
		}
	}
	for _, s := range owners {
		if err := insist(s, "CLUSTER", "SETSLOT", slot, "NODE", target); err != nil {
			return err
		}
		pause()
	}
	return nil
}

// moveKeys moves keys until the slot has none.
func moveKeys(slot string, from, to *Server, pause func()) error {
	for {
		reply, err := from.Do("CLUSTER", "GETKEYSINSLOT", slot, "1")
		if err != nil {
			return err
		}
		keys, _ := reply.([]any)
		if len(keys) == 0 {
			return nil
		}
		if err := insist(from, "MIGRATE", "127.0.0.1", to.Port(), fmt.Sprint(keys[0]), "0", "5000"); err != nil {
			return err
		}
		pause()
	}
}

func (s *Server) nodeID() (string, error) {
	reply, err := s.Do("CLUSTER", "MYID")
	return fmt.Sprint(reply), err
}

// insist sends a command until it succeeds.
func insist(s *Server, args ...string) (err error) {
	for end := time.Now().Add(startTimeout); time.Now().Before(end); time.Sleep(pollInterval) {
		if _, err = s.Do(args...); err == nil {
			return nil
		}
	}
	return errors.Join(fmt.Errorf("redistest: %s: %s", s.Addr, strings.Join(args, " ")), err)
}
