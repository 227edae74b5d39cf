// Package controlplane starts an API server for tests: the real kube-apiserver on a
// real etcd, with the project's CRD. No kubelet and no controller runs, so tests
// write the status that a kubelet or a controller would write.
package controlplane

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	stdruntime "runtime"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/driveshare/downstream-node/api/v1"
)

// binaries are the programs that the assets directory must contain.
var binaries = []string{"kube-apiserver", "etcd", "kubectl"}

// Assets returns the directory with the binaries. If KUBEBUILDER_ASSETS is empty,
// Assets looks in the directories that hack/envtest-assets and setup-envtest fill. If
// the binaries are missing, the error explains how to build them. Tests then fail with
// this error; they are not skipped.
func Assets() (string, error) {
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		if !complete(dir) {
			return "", fmt.Errorf("KUBEBUILDER_ASSETS is %s, which lacks one of %v", dir, binaries)
		}
		return dir, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the binaries of envtest: %w", err)
	}
	data := os.Getenv("XDG_DATA_HOME") // setup-envtest writes there
	if data == "" {
		home, _ := os.UserHomeDir()
		data = filepath.Join(home, ".local", "share")
	}
	for _, pattern := range []string{
		filepath.Join(cache, "downstream-node", "envtest", "*"),
		filepath.Join(data, "kubebuilder-envtest", "k8s", "*"),
	} {
		dirs, err := filepath.Glob(pattern)
		if err != nil {
			return "", fmt.Errorf("find the binaries of envtest: %w", err)
		}
		if i := slices.IndexFunc(dirs, complete); i >= 0 {
			return dirs[i], nil
		}
	}
	return "", errors.New("kube-apiserver, etcd and kubectl were not found; build them with `hack/envtest-assets`, or name their directory in KUBEBUILDER_ASSETS")
}

// complete reports whether a directory contains all binaries.
func complete(dir string) bool {
	return !slices.ContainsFunc(binaries, func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err != nil
	})
}

// Start starts an API server that knows the DownstreamNode. The caller must stop
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
	// Services can have addresses of both IP families.
	env.ControlPlane.GetAPIServer().Configure().Set("service-cluster-ip-range", "10.0.0.0/24,fd00:10::/112")
	if _, err := env.Start(); err != nil {
		return nil, fmt.Errorf("start the test API server: %w", errors.Join(err, env.Stop()))
	}
	return env, nil
}

// Path returns the absolute form of a path in the repository.
func Path(parts ...string) string {
	_, file, _, _ := stdruntime.Caller(0)
	root := filepath.Join(filepath.Dir(file), "..", "..", "..")
	return filepath.Join(append([]string{root}, parts...)...)
}

// ReadNode reads a manifest of a DownstreamNode and adds the defaults of the CRD,
// for tests without an API server.
func ReadNode(manifest []byte) (*v1.DownstreamNode, error) {
	var object map[string]any
	if err := yaml.UnmarshalStrict(manifest, &object); err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	text, err := os.ReadFile(Path("config/crd/bases/downstream.driveshare.org_downstreamnodes.yaml"))
	if err != nil {
		return nil, err
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct{ OpenAPIV3Schema map[string]any }
			}
		}
	}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		return nil, fmt.Errorf("read the CRD: %w", err)
	}
	setDefaults(object, crd.Spec.Versions[0].Schema.OpenAPIV3Schema)
	node := &v1.DownstreamNode{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object, node, true); err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	return node, nil
}

// setDefaults adds the defaults of a schema to a value, as the API server does. The
// API server's own code is not used, because it depends on cel and otel.
func setDefaults(value any, schema map[string]any) {
	switch value := value.(type) {
	case []any:
		items, _ := schema["items"].(map[string]any)
		for _, element := range value {
			setDefaults(element, items)
		}
	case map[string]any:
		values, _ := schema["additionalProperties"].(map[string]any)
		properties, _ := schema["properties"].(map[string]any)
		for name, property := range properties {
			otherwise, ok := property.(map[string]any)["default"]
			if _, set := value[name]; ok && !set {
				value[name] = runtime.DeepCopyJSONValue(otherwise)
			}
		}
		for name, field := range value {
			if property, ok := properties[name].(map[string]any); ok {
				setDefaults(field, property)
			} else {
				setDefaults(field, values)
			}
		}
	}
}
