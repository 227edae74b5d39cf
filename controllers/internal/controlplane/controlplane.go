// Package controlplane starts an API server for tests: the real kube-apiserver
// on a real etcd, with our CRD and without a kubelet or controllers, so that a
// test plays the part of these.
package controlplane

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// binaries are what a folder of assets must hold.
var binaries = []string{"kube-apiserver", "etcd", "kubectl"}

// Assets finds the folder with the binaries: the one that KUBEBUILDER_ASSETS
// names, else one that hack/envtest-assets or setup-envtest filled. The error
// says how to make one; tests fail with it and do not skip, for what is
// skipped silently is not tested.
func Assets() (string, error) {
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		if !complete(dir) {
			return "", fmt.Errorf("KUBEBUILDER_ASSETS is %s, which lacks one of %v", dir, binaries)
		}
		return dir, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("look for envtest's binaries: %w", err)
	}
	patterns := []string{
		filepath.Join(cache, "downstream-node", "envtest", "*"),
		filepath.Join(dataDir(), "kubebuilder-envtest", "k8s", "*"),
	}
	for _, pattern := range patterns {
		dirs, err := filepath.Glob(pattern)
		if err != nil {
			return "", fmt.Errorf("look for envtest's binaries: %w", err)
		}
		for _, dir := range dirs {
			if complete(dir) {
				return dir, nil
			}
		}
	}
	return "", errors.New("envtest's kube-apiserver, etcd and kubectl were not found; make them with `hack/envtest-assets`, or name their folder in KUBEBUILDER_ASSETS")
}

// dataDir is where setup-envtest keeps what it downloads.
func dataDir() string {
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		return dir
	}
	home, _ := os.UserHomeDir()
	return filepath.Join(home, ".local", "share")
}

func complete(dir string) bool {
	for _, name := range binaries {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

// Start starts an API server that knows the DownstreamNode. The caller stops
// the environment.
func Start() (*envtest.Environment, error) {
	assets, err := Assets()
	if err != nil {
		return nil, err
	}
	env := &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{Path("config/crd/bases")},
		ErrorIfCRDPathMissing: true,
	}
	if _, err := env.Start(); err != nil {
		return nil, fmt.Errorf("start the test API server: %w", errors.Join(err, env.Stop()))
	}
	return env, nil
}

// Path is a path of the repository.
func Path(parts ...string) string {
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(file), "..", "..", "..")
	return filepath.Join(append([]string{root}, parts...)...)
}
