package deploy

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

func project(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "deploy", "compose", "compose.yaml")}, cli.WithEnv([]string{"PENSTOCK_ADMIN_TOKEN=x"}))
	if err != nil {
		t.Fatal(err)
	}
	p, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestCompose: the file is one by the Compose specification, what it mounts is there, and nothing is open to the network but the gateway.
func TestCompose(t *testing.T) {
	p := project(t)
	for _, name := range []string{"gateway", "origins", "redis", "otel-collector", "prometheus", "grafana"} {
		s, ok := p.Services[name]
		if !ok {
			t.Errorf("there is no service %s", name)
			continue
		}
		if !s.ReadOnly || len(s.CapDrop) != 1 || s.CapDrop[0] != "ALL" {
			t.Errorf("%s may write to its image or has capabilities", name)
		}
		if tag := s.Image[strings.LastIndexByte(s.Image, ':')+1:]; tag == "latest" || tag == s.Image {
			t.Errorf("%s: the image %s is not pinned", name, s.Image)
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" && name != "gateway" || name == "gateway" && port.Target != 8080 && port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is open to the network", name, port.Published)
			}
		}
		for _, v := range s.Volumes {
			if _, err := os.Stat(v.Source); v.Type == types.VolumeTypeBind && err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, secret := range s.Secrets {
			if _, ok := p.Secrets[secret.Source]; !ok {
				t.Errorf("%s: there is no secret %s", name, secret.Source)
			}
		}
	}
	if dir := p.Services["gateway"].Volumes[0]; !strings.HasSuffix(dir.Source, "/gateway") || dir.Target != "/etc/penstock" {
		t.Errorf("the gateway's configuration is mounted as %s at %s: only a directory shows changes", dir.Source, dir.Target)
	}
}

// TestComposeNames: the hosts and ports that one configuration names are services of the project.
func TestComposeNames(t *testing.T) {
	p := project(t)
	for _, c := range []struct{ file, name, service string }{
		{"compose/gateway/gateway.yaml", "redis://redis:6379/", "redis"},
		{"compose/gateway/gateway.yaml", "http://otel-collector:4318", "otel-collector"},
		{"compose/otel-collector.yaml", "http://prometheus:9090/", "prometheus"},
		{"compose/prometheus.yaml", `"gateway:9901"`, "gateway"},
		{"grafana/provisioning/datasources/prometheus.yaml", "http://prometheus:9090", "prometheus"},
	} {
		if _, ok := p.Services[c.service]; !ok || !strings.Contains(read(t, c.file), c.name) {
			t.Errorf("%s does not name %s, or that is no service", c.file, c.name)
		}
	}
}
