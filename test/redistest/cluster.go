package redistest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

const slots = 16384

// Cluster is a Redis Cluster of masters without replicas that share the slots evenly.
type Cluster struct{ Nodes []*Server }

// StartCluster runs a cluster of n nodes. All slots are served when it returns.
func StartCluster(tb testing.TB, n int, args ...string) *Cluster {
	tb.Helper()
	c := &Cluster{Nodes: make([]*Server, n)}
	for i := range c.Nodes {
		c.Nodes[i] = launch(tb, func(port string) []string {
			return append([]string{
				"--port", port, "--save", "", "--appendonly", "no", "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
				"--cluster-port", freePort(tb), "--cluster-node-timeout", "2000",
			}, args...)
		})
	}
	for i, node := range c.Nodes {
		node.Must("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		node.Must("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(slots*i/n), strconv.Itoa(slots*(i+1)/n-1))
	}
	for _, node := range c.Nodes[1:] {
		c.Nodes[0].Must("CLUSTER", "MEET", "127.0.0.1", node.Port(), node.busPort())
	}
	if err := c.await(); err != nil {
		tb.Fatal(err)
	}
	return c
}

// URL is the cluster's address as a redis+cluster:// URL.
func (c *Cluster) URL() string {
	addrs := make([]string, len(c.Nodes))
	for i, node := range c.Nodes {
		addrs[i] = node.Addr
	}
	return "redis+cluster://" + strings.Join(addrs, ",")
}

// busPort is the value of its --cluster-port.
func (s *Server) busPort() string {
	for i, arg := range s.args {
		if arg == "--cluster-port" {
			return s.args[i+1]
		}
	}
	return ""
}

// await polls until every node knows that all slots are served by n nodes.
func (c *Cluster) await() (err error) {
	for end := time.Now().Add(startTimeout); time.Now().Before(end); time.Sleep(pollInterval) {
		if err = c.ready(); err == nil {
			return nil
		}
	}
	return err
}

func (c *Cluster) ready() error {
	for _, node := range c.Nodes {
		reply, err := node.Do("CLUSTER", "INFO")
		if err != nil {
			return err
		}
		said := fmt.Sprint(reply)
		if !strings.Contains(said, "cluster_state:ok") || !strings.Contains(said, fmt.Sprintf("cluster_size:%d\r", len(c.Nodes))) {
			return fmt.Errorf("redistest: the cluster does not come about: %s: %s", node.Addr, said)
		}
	}
	return nil
}
