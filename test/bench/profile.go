package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/driveshare/downstream-node/test/deployment"
)

// profileSeconds is about what a pass takes.
const profileSeconds = 2

// startProfiles begins to profile the replicas, where dir is not empty, and
// gives what waits until the profiles are written.
func startProfiles(p *program, dir string, pass int, replicas ...*deployment.Replica) (wait func()) {
	if dir == "" {
		return func() {}
	}
	var profiling sync.WaitGroup
	for _, r := range replicas {
		profiling.Go(func() {
			path := filepath.Join(dir, fmt.Sprintf("pass-%d-%s.prof", pass, r.Name))
			if err := profile(r, path); err != nil {
				p.Log("profile:", err)
			}
		})
	}
	return profiling.Wait
}

func profile(r *deployment.Replica, path string) error {
	resp, err := http.Get(fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", r.Private, profileSeconds))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, resp.Body); err != nil {
		return err
	}
	return out.Close()
}
