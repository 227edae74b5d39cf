package testenv

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// logFileSize is InnoDB's, the same at installation and later: a server that
// finds another size makes its log anew first.
const logFileSize = "32M"

// mariaDBTemplate is a directory with a fresh server's files, to copy. Making
// it takes seconds, and so it is kept in the user's cache, one a version.
func mariaDBTemplate(server string) (string, error) {
	version, err := exec.Command(server, "--no-defaults", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", server, err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	cache = filepath.Join(cache, "downstream-node-test")
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	template := filepath.Join(cache, fmt.Sprintf("mariadb-%.6x", sha256.Sum256(append(version, logFileSize...))))
	if _, err := os.Stat(template); err == nil {
		return template, nil
	}
	fresh, err := os.MkdirTemp(cache, "making-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh)
	if err := install(fresh); err != nil {
		return "", err
	}
	// Another test process may have been faster: then its files serve as well.
	if err := os.Rename(fresh, template); err != nil {
		if _, there := os.Stat(template); there != nil {
			return "", err
		}
	}
	return template, nil
}

func install(dir string) error {
	path, err := find("mariadb-install-db", "mariadb-server")
	if err != nil {
		return err
	}
	args := []string{
		"--no-defaults",
		"--datadir=" + dir,
		"--auth-root-authentication-method=normal",
		"--skip-test-db",
		"--innodb-log-file-size=" + logFileSize,
	}
	if os.Geteuid() == 0 {
		args = append(args, "--user=root")
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", path, err, out)
	}
	return nil
}
