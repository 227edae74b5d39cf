//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/driveshare/downstream-node/internal/testenv"
)

// TestPages runs the commands of the documentation that need Kubernetes, in a copy of the
// repository. It begins without an operator, because the pages install one.
func TestPages(t *testing.T) {
	mariadb, redis, volumes := os.Getenv("E2E_MARIADB_IMAGE"), os.Getenv("E2E_REDIS_IMAGE"), os.Getenv("E2E_VOLUMES")
	if mariadb == "" || redis == "" {
		withoutImages(t)
	}
	n := space(t)
	dsn := n.secret(t, "dsn")
	must(t, "kubectl", "-n", n.namespace, "delete", "secret", "downstream-backends") // a page makes it
	if volumes != "" {
		n.makeVolumes(t, volumes, 8) // two for the tutorial, and three for each of two nodes
	}
	restored := n.namespace + "-new"
	if err := makeNamespace(restored); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = run("kubectl", "delete", "namespace", restored, "--wait=false") })
	replaceOperator(t)

	p := newPages(t, n.namespace)
	identity, err := age.GenerateX25519Identity()
	testenv.Must(t, err)
	p.write("identity.txt", identity.String())
	p.replace = []string{
		"user:password@tcp(mysql:3306)/downstream", dsn, "redis://:password@redis:6379/0", redisURL,
		"age1...", identity.Recipient().String(), "tag=NEW", "tag=dev", "-n new", "-n " + restored, "backups/FILE", "backups/*.age",
		"--replicas=8", "--replicas=2", // of workers, for a small cluster
	}
	const sample = "config/samples/evaluation.yaml"
	raw, err := os.ReadFile(filepath.Join(p.dir, sample))
	testenv.Must(t, err)
	p.write(sample, evaluationImages(string(raw), mariadb, redis))

	p.run("tutorials/cluster.md")
	p.run("how-to/kubernetes.md")
	p.bash("kubectl patch dn downstream --type=merge -p '{\"spec\": {\"hibernate\": false}}'")
	p.bash("kubectl apply -f config/samples/evaluation.yaml && kubectl wait dn/evaluation dn/downstream --for=condition=Ready --timeout=5m")
	p.run("how-to/kubernetes-backups.md")
	p.bash("kubectl wait dn/downstream --for=condition=Ready --timeout=5m && kubectl wait -n " + restored + " dn/evaluation --for=condition=Ready --timeout=5m")
	p.run("how-to/whitelist.md")
	p.bash("kubectl wait dn/downstream --for=condition=Ready --timeout=2m")
}

// replaceOperator uninstalls the operator of the tests, and installs it again after the test. The
// definitions stay; it lets the release of the pages take them over.
func replaceOperator(t *testing.T) {
	t.Helper()
	must(t, helm, "uninstall", release, "--namespace", operatorNamespace, "--wait")
	own := func(namespace string) {
		must(t, "kubectl", "annotate", "crd", "downstreamnodes.downstream.driveshare.org", "--overwrite", "meta.helm.sh/release-namespace="+namespace)
	}
	const namespace = "downstream-system"
	own(namespace)
	t.Cleanup(func() {
		_, _ = run(helm, "uninstall", release, "--namespace", namespace, "--wait")
		_, _ = run("kubectl", "delete", "-k", "../../config/operator", "--ignore-not-found", "--timeout=2m")
		_, _ = run("kubectl", "delete", "namespace", namespace, "--ignore-not-found", "--timeout=2m")
		own(operatorNamespace)
		testenv.Must(t, installChart(chart))
	})
}

// secret returns a value of the Secret with the addresses of the databases.
func (n *node) secret(t *testing.T, key string) string {
	t.Helper()
	return must(t, "kubectl", "-n", n.namespace, "get", "secret", "downstream-backends", "-o", "go-template={{index .data \""+key+"\" | base64decode}}")
}

// pages runs the blocks of pages in a copy of the repository.
type pages struct {
	t       *testing.T
	dir     string
	env     []string
	replace []string // what is replaced in commands, and by what
}

func newPages(t *testing.T, namespace string) *pages {
	p := &pages{t: t, dir: testenv.CopyTree(t, "../..")}
	config := filepath.Join(t.TempDir(), "kubeconfig")
	from := cmp.Or(os.Getenv("KUBECONFIG"), filepath.Join(os.Getenv("HOME"), ".kube", "config"))
	raw, err := os.ReadFile(from)
	testenv.Must(t, err)
	testenv.Must(t, os.WriteFile(config, raw, 0o600))
	must(t, "kubectl", "--kubeconfig", config, "config", "set-context", "--current", "--namespace="+namespace)
	// On this cluster, another command does what `kind load image-archive` does.
	bin := t.TempDir()
	testenv.Must(t, os.WriteFile(filepath.Join(bin, "kind"), []byte("#!/bin/sh\nexec "+os.Getenv("E2E_LOAD")+" \"$(realpath \"$3\")\"\n"), 0o700))
	path := strings.Join([]string{bin, filepath.Join(p.dir, "bin"), os.Getenv("PATH")}, ":")
	p.env = append(os.Environ(), "KUBECONFIG="+config, "PATH="+path)
	return p
}

func (p *pages) write(name, content string) {
	p.t.Helper()
	file := filepath.Join(p.dir, name)
	testenv.Must(p.t, os.MkdirAll(filepath.Dir(file), 0o700))
	testenv.Must(p.t, os.WriteFile(file, []byte(content), 0o600))
}

var startsFarmer = regexp.MustCompile(`downstream-node farm http`)

// run runs the blocks of a page for Kubernetes, and those that write files for them.
func (p *pages) run(page string) {
	p.t.Helper()
	raw, err := os.ReadFile(filepath.Join(p.dir, "docs", page))
	testenv.Must(p.t, err)
	for name, content := range testenv.PageFiles(string(raw)) {
		p.write(name, content)
	}
	began := time.Now()
	var running []*testenv.Process
	defer func() {
		for _, process := range running {
			_ = syscall.Kill(-process.PID(), syscall.SIGKILL)
			<-process.Exited()
			if p.t.Failed() {
				p.t.Logf("a program of %s printed:\n%s", page, process.LogTail())
			}
		}
	}()
	for _, b := range testenv.Blocks(string(raw)) {
		if b.Kind != "cluster" && !(b.Kind == "" && strings.HasPrefix(b.Commands, "cat >")) {
			continue
		}
		for _, s := range b.Steps() {
			if !s.Runs {
				p.bash(s.Commands)
				continue
			}
			cmd := p.command(context.Background(), s.Commands)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			process, err := testenv.StartProcess(s.Commands, filepath.Join(p.t.TempDir(), "log"), cmd)
			testenv.Must(p.t, err)
			running = append(running, process)
			switch {
			case strings.Contains(s.Commands, "port-forward"):
				p.until("curl -sf localhost:5000/api/downstream/v1")
			case startsFarmer.MatchString(s.Commands):
				p.until(`curl -sf localhost:5000/api/downstream/status/list | grep -E '"heartbeats": ?[1-9]'`)
			}
		}
	}
	p.t.Logf("the commands of %s took %.0f s", page, time.Since(began).Seconds())
}

func (p *pages) command(ctx context.Context, commands string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", strings.NewReplacer(p.replace...).Replace(commands))
	cmd.Dir, cmd.Env = p.dir, p.env
	return cmd
}

// bash runs commands, which must succeed.
func (p *pages) bash(commands string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 6*time.Minute)
	defer cancel()
	if out, err := p.command(ctx, commands).CombinedOutput(); err != nil {
		p.t.Fatalf("%v\n%s\nprinted:\n%s", err, commands, out)
	}
}

// until repeats commands until they succeed.
func (p *pages) until(commands string) {
	p.t.Helper()
	eventually(p.t, 2*time.Minute, func() error {
		if out, err := p.command(p.t.Context(), commands).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", commands, err, out)
		}
		return nil
	})
}
