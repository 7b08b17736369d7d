package redistest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// StartSentinel runs one Sentinel that watches master under the given name.
func StartSentinel(tb testing.TB, name string, master *Server) *Server {
	tb.Helper()
	return launch(tb, func(port string) []string {
		file := filepath.Join(tb.TempDir(), "sentinel.conf") // Sentinel writes to it
		conf := "sentinel monitor " + name + " 127.0.0.1 " + master.Port() + " 1\n"
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			tb.Fatal(err)
		}
		return []string{file, "--port", port, "--sentinel"}
	})
}

// Group is a primary with a replica and a Sentinel. If the primary does not answer for a second,
// the Sentinel promotes the replica.
type Group struct {
	Servers  []*Server
	Sentinel *Server
}

const groupName = "group"

// StartSentinelGroup runs a group. When it returns, the replica has copied the primary.
func StartSentinelGroup(tb testing.TB, args ...string) *Group {
	tb.Helper()
	primary := Start(tb, args...)
	replica := Start(tb, append([]string{"--replicaof", "127.0.0.1", primary.Port()}, args...)...)
	g := &Group{Servers: []*Server{primary, replica}, Sentinel: StartSentinel(tb, groupName, primary)}
	g.Sentinel.Must("SENTINEL", "SET", groupName, "down-after-milliseconds", "1000", "failover-timeout", "3000")
	g.await("the replica is known", func() bool {
		said, err := g.Sentinel.Do("SENTINEL", "REPLICAS", groupName)
		return err == nil && strings.Contains(fmt.Sprint(said), "master-link-status ok")
	})
	return g
}

// URL returns the group's address as a redis+sentinel:// URL.
func (g *Group) URL() string { return "redis+sentinel://" + g.Sentinel.Addr + "/" + groupName + "/0" }

// Primary returns the server that the Sentinel names as the primary.
func (g *Group) Primary() *Server {
	said := fmt.Sprint(g.Sentinel.Must("SENTINEL", "GET-MASTER-ADDR-BY-NAME", groupName))
	for _, s := range g.Servers {
		if strings.Contains(said, " "+s.Port()+"]") {
			return s
		}
	}
	return g.Servers[0]
}

func (g *Group) await(what string, ok func() bool) {
	tb := g.Sentinel.tb
	tb.Helper()
	for end := time.Now().Add(2 * startTimeout); !ok(); time.Sleep(pollInterval) {
		if time.Now().After(end) {
			tb.Fatalf("redistest: the group did not form: %s", what)
		}
	}
}
