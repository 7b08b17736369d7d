package redistest

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Kinds are the kinds of Redis that StartKind runs.
var Kinds = []string{"single", "sentinel", "cluster"}

// Deployment is a Redis of any kind.
type Deployment struct {
	URL     string
	Gated   []*Server // the servers that clients connect to
	Servers []*Server // the servers that hold data
	// primaries returns the servers that clients write to now.
	primaries func() []*Server
	// took waits until a replica has the place of a stopped primary. It returns the arguments that
	// make that primary a replica. It is nil without replicas.
	took func(old *Server) []string
	// empty are the arguments with which a primary stays a primary when it restarts.
	empty []string
}

// StartKind runs one of Kinds.
func StartKind(tb testing.TB, kind string, args ...string) (*Deployment, error) {
	tb.Helper()
	args = append(args[:len(args):len(args)], "--repl-diskless-sync-delay", "0")
	switch kind {
	case "single":
		s := Start(tb, args...)
		all := []*Server{s}
		return &Deployment{URL: s.URL(), Gated: all, Servers: all, primaries: func() []*Server { return all }}, nil
	case "sentinel":
		return sentinels(StartSentinelGroup(tb, args...)), nil
	case "cluster":
		return clustered(StartReplicatedCluster(tb, 3, args...)), nil
	}
	return nil, fmt.Errorf("redistest: kind %q is unknown; write one of %s", kind, strings.Join(Kinds, ", "))
}

func sentinels(g *Group) *Deployment {
	return &Deployment{
		URL: g.URL(), Gated: append([]*Server{g.Sentinel}, g.Servers...), Servers: g.Servers, empty: []string{"--replicaof", "no", "one"},
		primaries: func() []*Server { return []*Server{g.Primary()} },
		took: func(old *Server) []string {
			patient(func() bool { return g.Primary() != old && g.Primary().IsMaster() })
			return []string{"--replicaof", "127.0.0.1", g.Primary().Port()}
		},
	}
}

func clustered(c *Cluster) *Deployment {
	d := &Deployment{URL: c.URL(), Servers: append(c.Nodes[:len(c.Nodes):len(c.Nodes)], c.Replicas...)}
	d.Gated = d.Servers
	d.primaries = func() (list []*Server) {
		for _, s := range d.Servers {
			if s.Pid() != 0 && s.IsMaster() {
				list = append(list, s)
			}
		}
		return list
	}
	d.took = func(*Server) []string {
		patient(func() bool { return len(d.primaries()) == len(c.Nodes) })
		return nil
	}
	return d
}

// patient waits until ok holds, 20 s at most: a failover takes some seconds.
func patient(ok func() bool) {
	for end := time.Now().Add(20 * time.Second); !ok() && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
}

// Primaries returns the servers that clients write to now.
func (d *Deployment) Primaries() []*Server { return d.primaries() }

// Replicated reports whether each primary has a replica that takes over when the primary stops.
func (d *Deployment) Replicated() bool { return d.took != nil }

// TookOver waits until a replica has the place of a stopped primary. It returns the arguments for
// Restart that make the stopped one a replica.
func (d *Deployment) TookOver(old *Server) []string { return d.took(old) }

// RestartEmpty restarts a primary without its data. It stays a primary.
func (d *Deployment) RestartEmpty(s *Server) {
	s.tb.Helper()
	s.Restart(d.empty...)
}

// HolderOf returns the primary that has the keys of a slot, nil if none answers for it now.
func (d *Deployment) HolderOf(key string) *Server {
	for _, s := range d.Primaries() {
		if _, err := s.Do("EXISTS", key); err == nil {
			return s
		}
	}
	return nil
}

// ReplicaOf returns the replica that is connected to a primary, nil if there is none now.
func (d *Deployment) ReplicaOf(primary *Server) *Server {
	for _, s := range d.Servers {
		said, err := s.Do("ROLE")
		if role := fmt.Sprint(said); err == nil && strings.HasPrefix(role, "[slave") && strings.Contains(role, " "+primary.Port()+" connected ") {
			return s
		}
	}
	return nil
}
