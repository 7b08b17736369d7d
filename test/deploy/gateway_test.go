package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// secretFile is where the compose file's gateway finds its token.
const secretFile = "/run/secrets/admin-token"

// TestGatewayConfigurations: all of them pass `penstock check`.
func TestGatewayConfigurations(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "deploy", "*", "*", "gateway.yaml"))
	if err != nil || len(files) != 3 {
		t.Fatalf("%d configurations, %v: %v", len(files), err, files)
	}
	for _, file := range files {
		if out, err := check(t, file); err != nil {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
	}
}

// check has the gateway check a configuration, whose secrets are at hand.
func check(t *testing.T, file string) ([]byte, error) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(gateway, "check", withSecret(t, dir, file))
	cmd.Env = append(os.Environ(), "PENSTOCK_ADMIN_TOKEN=0123456789abcdef")
	return cmd.CombinedOutput()
}

// withSecret is a copy of a configuration whose secret is in dir.
func withSecret(t *testing.T, dir, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	token, copied := filepath.Join(dir, "admin-token"), filepath.Join(dir, "gateway.yaml")
	for name, content := range map[string]string{token: "0123456789abcdef\n", copied: strings.ReplaceAll(string(text), secretFile, token)} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return copied
}
