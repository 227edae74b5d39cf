package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Exposed returns a warning for each file with a secret that every user of the machine
// can read. These are the files of secrets, and the files of private keys. It ignores
// files that it cannot examine, because the code that reads them reports the error.
func Exposed(c any) []string {
	var warnings []string
	fields := Fields(c)
	for _, f := range fields {
		for _, path := range secretPaths(f, fields) {
			info, err := os.Stat(path)
			if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o004 == 0 || inKubernetesVolume(path) {
				continue
			}
			warnings = append(warnings, fmt.Sprintf("%s: every user of this machine can read %s (mode %04o), which contains a secret; run: chmod o= %s",
				f.Key, path, info.Mode().Perm(), path))
		}
	}
	return warnings
}

// secretPaths returns the paths in f, if f names files with secrets.
func secretPaths(f Field, fields []Field) []string {
	switch value := f.Value.Interface().(type) {
	case []string:
		if strings.HasSuffix(f.Key, ".keyFiles") {
			return value
		}
	case string:
		if strings.HasSuffix(f.Key, ".keyFile") {
			return []string{value}
		}
		for _, other := range fields {
			if other.Secret() && other.Key+"File" == f.Key {
				return []string{value}
			}
		}
	}
	return nil
}

// inKubernetesVolume reports whether the file is in a volume that the kubelet made from
// a Secret or a ConfigMap. Only the pod's containers can reach such a volume, and its
// files often have the mode 0444 or 0644. The kubelet puts a link "..data" there.
func inKubernetesVolume(path string) bool {
	_, err := os.Lstat(filepath.Join(filepath.Dir(path), "..data"))
	return err == nil
}
