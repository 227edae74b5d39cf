package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/driveshare/downstream-node/test/deployment"
)

// profileSeconds is about what two repetitions take.
const profileSeconds = 8

// profile begins to profile the node's processes where a directory for that is
// given, and gives what waits until the profiles are written.
func (b *bench) profile(figure string) (wait func()) {
	if b.profiles == "" || b.node == nil {
		return func() {}
	}
	var profiling sync.WaitGroup
	for _, r := range append([]*deployment.Replica{b.node.api}, b.node.workers...) {
		profiling.Go(func() {
			path := filepath.Join(b.profiles, strings.ReplaceAll(figure, " ", "-")+"."+r.Name+".prof")
			if err := writeProfile(r, path); err != nil {
				b.Log("profile:", err)
			}
		})
	}
	return profiling.Wait
}

func writeProfile(r *deployment.Replica, path string) error {
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
