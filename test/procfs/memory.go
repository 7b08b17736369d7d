// Package procfs reads what the kernel tells of a process.
package procfs

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Memory is an amount of memory of a process, in bytes: that of the field of its status, as VmRSS for what is in RAM and VmHWM for the most that was.
func Memory(pid int, field string) (int64, error) {
	name := fmt.Sprintf("/proc/%d/status", pid)
	b, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if text, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("%s in %s: %w", field, name, err)
			}
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("%s has no %s", name, field)
}
