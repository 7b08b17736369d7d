package redistest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

const slots = 16384

// Cluster is a Redis Cluster of masters that share the slots evenly.
type Cluster struct {
	Nodes    []*Server // the masters at the start
	Replicas []*Server // each replicates the node with the same index; nil if there are none
}

// StartCluster runs a cluster of n nodes. When it returns, all slots are served.
func StartCluster(tb testing.TB, n int, args ...string) *Cluster {
	tb.Helper()
	c := &Cluster{Nodes: make([]*Server, n)}
	for i := range c.Nodes {
		c.Nodes[i] = launchNode(tb, args)
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

func launchNode(tb testing.TB, args []string) *Server {
	tb.Helper()
	return launch(tb, func(port string) []string {
		return append([]string{
			"--port", port, "--save", "", "--appendonly", "no", "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
			"--cluster-port", freePort(tb), "--cluster-node-timeout", "2000", "--cluster-replica-validity-factor", "0",
		}, args...)
	})
}

// StartReplicatedCluster runs a cluster of n nodes with a replica each. If a node stops, its
// replica takes over.
func StartReplicatedCluster(tb testing.TB, n int, args ...string) *Cluster {
	tb.Helper()
	c := StartCluster(tb, n, args...)
	for range c.Nodes {
		replica := launchNode(tb, args)
		c.Nodes[0].Must("CLUSTER", "MEET", "127.0.0.1", replica.Port(), replica.busPort())
		c.Replicas = append(c.Replicas, replica)
	}
	for i, replica := range c.Replicas {
		id, _ := c.Nodes[i].Must("CLUSTER", "MYID").(string)
		c.poll("the replica has heard of its node", func() bool {
			_, err := replica.Do("CLUSTER", "REPLICATE", id)
			return err == nil
		})
		c.poll("the replica has copied its node", func() bool {
			said, err := replica.Do("ROLE")
			return err == nil && strings.Contains(fmt.Sprint(said), "connected")
		})
	}
	for _, node := range c.Nodes {
		c.poll("all nodes know all", func() bool {
			said, err := node.Do("CLUSTER", "NODES")
			return err == nil && strings.Count(fmt.Sprint(said), "slave") == n
		})
	}
	return c
}

// ReplicaOf returns the replica of the master that serves a key, and that master.
func (c *Cluster) ReplicaOf(key string) (replica, master *Server) {
	slot, _ := c.Nodes[0].Must("CLUSTER", "KEYSLOT", key).(int64)
	for i := range c.Nodes {
		if int(slot) < slots*(i+1)/len(c.Nodes) {
			return c.Replicas[i], c.Nodes[i]
		}
	}
	return nil, nil
}

// IsMaster reports whether the server is a master.
func (s *Server) IsMaster() bool {
	said, err := s.Do("ROLE")
	return err == nil && SaysMaster(said)
}

// SaysMaster reports whether a reply to ROLE is a master's.
func SaysMaster(role any) bool {
	list, _ := role.([]any)
	return len(list) > 0 && list[0] == "master"
}

func (c *Cluster) poll(what string, ok func() bool) {
	tb := c.Nodes[0].tb
	tb.Helper()
	for end := time.Now().Add(startTimeout); !ok(); time.Sleep(pollInterval) {
		if time.Now().After(end) {
			tb.Fatalf("redistest: the cluster did not form: %s", what)
		}
	}
}

// URL returns the cluster's address as a redis+cluster:// URL.
func (c *Cluster) URL() string {
	addrs := make([]string, len(c.Nodes))
	for i, node := range c.Nodes {
		addrs[i] = node.Addr
	}
	return "redis+cluster://" + strings.Join(addrs, ",")
}

// busPort returns the value of the server's --cluster-port.
func (s *Server) busPort() string {
	for i, arg := range s.args {
		if arg == "--cluster-port" {
			return s.args[i+1]
		}
	}
	return ""
}

// await polls until every node knows that n nodes serve all slots.
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
			return fmt.Errorf("redistest: the cluster did not form: %s: %s", node.Addr, said)
		}
	}
	return nil
}
