package app

import (
	"os"
	"testing"
)

func TestContainerLimit(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, own string
		files     map[string]string
		want      int64 // 0 if there is no limit
	}{
		{"a container", "0::/\n", map[string]string{"/sys/fs/cgroup/memory.max": "268435456\n"}, 256 << 20},
		{"no limit", "0::/\n", map[string]string{"/sys/fs/cgroup/memory.max": "max\n"}, 0},
		{"no control groups", "", nil, 0},
		{"no file", "0::/a\n", nil, 0},
		{"a service in a slice", "0::/system.slice/node.service\n", map[string]string{
			"/sys/fs/cgroup/system.slice/memory.max":              "1000\n",
			"/sys/fs/cgroup/system.slice/node.service/memory.max": "2000\n",
		}, 1000},
		{"version 1", "5:cpu,cpuacct:/x\n4:memory:/docker/1\n", map[string]string{"/sys/fs/cgroup/memory/memory.limit_in_bytes": "4096\n"}, 4096},
		{"version 1 without a limit", "4:memory:/\n", map[string]string{"/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		{"both versions", "4:memory:/\n0::/\n", map[string]string{"/sys/fs/cgroup/memory/memory.limit_in_bytes": "4096\n"}, 4096},
		{"a path that leaves the root", "0::/../../a\n", map[string]string{"/sys/fs/cgroup/a/memory.max": "7\n"}, 7},
		{"not a number", "0::/\n", map[string]string{"/sys/fs/cgroup/memory.max": "12x"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := containerLimit(func(path string) ([]byte, error) {
				text, ok := tt.files[path]
				if !ok {
					return nil, os.ErrNotExist
				}
				return []byte(text), nil
			}, tt.own)
			if got != tt.want || ok != (tt.want != 0) {
				t.Errorf("%d, %v, want %d", got, ok, tt.want)
			}
		})
	}
}
