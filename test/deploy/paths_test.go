package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// logFolder is where log files go.
const logFolder = "/var/log/penstock"

// writable are the folders that the gateway may write to wherever it runs.
var writable = []string{"/var/lib/penstock", "/run/penstock", logFolder}

// unit gives the values of a key of the systemd unit.
func unit(t *testing.T, key string) []string {
	t.Helper()
	var values []string
	for line := range strings.Lines(read(t, "penstock.service")) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			values = append(values, value)
		}
	}
	return values
}

// TestDocumentedPathsAreWritable looks for the paths that README, the deploy guide, the configurations and the program's own messages propose. Each has to
// be in a folder that the unit, the image and the manifests give to the gateway.
func TestDocumentedPathsAreWritable(t *testing.T) {
	proposed := regexp.MustCompile(`/(?:var/lib|var/log|var/run|run|var/cache)/penstock\b[\w./-]*`)
	files := []string{"README.md", "gateway.yaml", "deploy/README.md"}
	for _, pattern := range []string{"config/*.go", "deploy/*/gateway/*.yaml", "deploy/*/*/gateway.yaml"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(found) == 0 {
			t.Fatal(pattern, err)
		}
		for _, f := range found {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			rel, err := filepath.Rel(root, f)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, rel)
		}
	}
	seen := 0
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range proposed.FindAllString(string(text), -1) {
			seen++
			if !within(path) {
				t.Errorf("%s proposes %s, which the gateway can't write", file, path)
			}
		}
	}
	if seen == 0 {
		t.Error("no path was found: the test looks for the wrong thing")
	}
}

func within(path string) bool {
	for _, folder := range writable {
		if path == folder || strings.HasPrefix(path, folder+"/") {
			return true
		}
	}
	return false
}

// TestUnit: systemd makes the folders, hands secrets over, and is told when the gateway is ready.
func TestUnit(t *testing.T) {
	for key, want := range map[string]string{
		"StateDirectory": "penstock", "LogsDirectory": "penstock", "RuntimeDirectory": "penstock", "Type": "notify", "NotifyAccess": "main", "ProtectSystem": "strict",
	} {
		if got := unit(t, key); len(got) != 1 || got[0] != want {
			t.Errorf("%s is %v, want %s", key, got, want)
		}
	}
	credentials := strings.Join(unit(t, "LoadCredential"), " ")
	for _, name := range []string{"server.crt", "server.key", "admin-token"} {
		if !strings.Contains(credentials, name) {
			t.Errorf("%s can't be handed over as a credential", name)
		}
	}
}

// TestImageFolders: the image has the folders, and they are its user's.
func TestImageFolders(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range writable {
		if !strings.Contains(string(text), "/out"+folder) {
			t.Errorf("the image has no %s", folder)
		}
	}
	for _, line := range []string{"--chown=65532:65532 /out/var/ /var/", "--chown=65532:65532 /out/run/ /run/", "USER 65532:65532", "VOLUME /var/lib/penstock"} {
		if !strings.Contains(string(text), line) {
			t.Errorf("the Dockerfile has no %q", line)
		}
	}
}
