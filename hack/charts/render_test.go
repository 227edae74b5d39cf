package charts

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files")

const chart = "../../charts/downstream-node"

// helmCommand returns the command that starts Helm. It uses the program in HELM,
// else the program on the PATH, else a program built from Helm's module. The first
// build takes minutes.
var helmCommand = sync.OnceValue(func() []string {
	if named := os.Getenv("HELM"); named != "" {
		return []string{named}
	}
	if path, err := exec.LookPath("helm"); err == nil {
		return []string{path}
	}
	command := []string{"go", "run", "helm.sh/helm/v3/cmd/helm@v3.22.0"}
	// Build it once. Otherwise tests that run in parallel would each build it. If
	// this command fails, the next command fails too and reports the reason.
	_ = exec.Command(command[0], slices.Concat(command[1:], []string{"version"})...).Run()
	return command
})

// helm runs Helm and returns what it prints.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	command := slices.Concat(helmCommand(), args)
	cmd := exec.Command(command[0], command[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", errors.New(err.Error() + "\n" + stderr.String() + stdout.String())
	}
	return stdout.String(), nil
}

func template(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return helm(t, append([]string{"template", "release", chart, "--namespace", "downstream", "--kube-version", "1.34.0"}, args...)...)
}

func TestLint(t *testing.T) {
	t.Parallel()
	if _, err := helm(t, "lint", "--strict", chart); err != nil {
		t.Error(err)
	}
}

// TestRender compares the rendered chart with golden files. It leaves out the CRD,
// because hack/generate copies the CRD.
func TestRender(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]string{
		"default": "",
		"everything": `
image: {repository: registry.example/node, digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}
imagePullSecrets: [{name: registry}]
replicas: 1
watchNamespaces: [storage, downstream]
serviceAccount: {name: operator, annotations: {example.org/role: operator}}
podLabels: {team: storage}
podAnnotations: {example.org/note: "yes"}
nodeSelector: {kubernetes.io/arch: amd64}
tolerations: [{key: dedicated, operator: Exists}]
priorityClassName: system-cluster-critical
metrics: {serviceMonitor: {enabled: true, labels: {release: prometheus}}}
prometheusRule: {enabled: true, labels: {release: prometheus}}
node:
  enabled: true
  annotations: {example.org/owner: us}
  spec: {mysql: {dsnSecretRef: {name: mysql}}, redis: {urlSecretRef: {name: redis}}}
`,
		"least": `
serviceAccount: {create: false}
rbac: {create: false}
metrics: {enabled: false}
`,
	} {
		file := filepath.Join(t.TempDir(), "values.yaml")
		if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := template(t, "--values", file, "--set", "crds.enabled=false")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		golden := filepath.Join("testdata", name+".yaml")
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: the rendered chart differs from %s; if it is right, run the test with -update:\n%s", name, golden, got)
		}
	}
}

// TestWatchNamespacesNeedsNoClusterRights checks that an operator for some namespaces can
// read Secrets only there, and that the chart can do without any object of the whole
// cluster.
func TestWatchNamespacesNeedsNoClusterRights(t *testing.T) {
	t.Parallel()
	type object struct {
		Kind     string
		Metadata struct{ Name, Namespace string }
		Rules    []struct{ Resources []string }
	}
	objects := func(args ...string) (found []object) {
		t.Helper()
		out, err := template(t, append([]string{"--set", "watchNamespaces={storage,downstream}"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range strings.Split(out, "\n---\n") {
			o := object{}
			if err := yaml.Unmarshal([]byte(document), &o); err != nil {
				t.Fatal(err)
			}
			found = append(found, o)
		}
		return found
	}
	secrets := map[string]bool{}
	for _, o := range objects() {
		for _, rule := range o.Rules {
			if slices.Contains(rule.Resources, "secrets") {
				secrets[o.Kind+" "+o.Metadata.Namespace] = true
			}
		}
		if o.Kind == "ClusterRoleBinding" && !strings.HasSuffix(o.Metadata.Name, "-metrics-auth") {
			t.Errorf("%s gives the operator rights in every namespace", o.Metadata.Name)
		}
	}
	if len(secrets) != 2 || !secrets["Role storage"] || !secrets["Role downstream"] {
		t.Errorf("the operator may read Secrets by %v", secrets)
	}
	for _, o := range objects("--set", "metrics.enabled=false,rbac.aggregate=false,crds.enabled=false") {
		if o.Kind != "" && o.Metadata.Namespace == "" {
			t.Errorf("the %s %s belongs to the whole cluster", o.Kind, o.Metadata.Name)
		}
	}
}

// TestSameImage checks that kustomize and the chart install the same image.
func TestSameImage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../config/manager/kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var kustomization struct {
		Images []struct{ NewName, NewTag string }
	}
	if err := yaml.Unmarshal(text, &kustomization); err != nil || len(kustomization.Images) != 1 {
		t.Fatalf("kustomize sets %d images, want 1; %v", len(kustomization.Images), err)
	}
	rendered, err := os.ReadFile("testdata/default.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if image := kustomization.Images[0].NewName + ":" + kustomization.Images[0].NewTag; !strings.Contains(string(rendered), "image: "+image+"\n") {
		t.Errorf("kustomize installs %s, but the chart installs another image", image)
	}
}

// TestDefinition checks that the value crds.keep decides whether Helm keeps the CRD
// when the chart is uninstalled.
func TestDefinition(t *testing.T) {
	t.Parallel()
	const keep = "helm.sh/resource-policy: keep"
	for args, want := range map[string]bool{"crds.keep=true": true, "crds.keep=false": false} {
		out, err := template(t, "--set", args, "--show-only", "templates/crd.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out, keep) != want || !strings.Contains(out, "kind: CustomResourceDefinition") {
			t.Errorf("%s: the definition begins with\n%.600s", args, out)
		}
	}
}

// TestRefusesValues checks that the chart reports mistakes in its values.
func TestRefusesValues(t *testing.T) {
	t.Parallel()
	for args, says := range map[string]string{
		"replica=2":               "replica",
		"image.tags=x":            "tags",
		"image.pullPolicy=Maybe":  "pullPolicy",
		"watchNamespaces={A}":     "watchNamespaces",
		"crds.keep=maybe":         "keep",
		"node.enabled=true":       "mysql",
		"node.name=1x":            "name",
		"image.digest=sha256:abc": "digest",
		"metrics.port=80":         "port",
		"watchNamespaces={default},node.enabled=true,node.spec.mysql.dsnSecretRef.name=m,node.spec.redis.urlSecretRef.name=r": "add downstream to watchNamespaces",
	} {
		if _, err := template(t, "--set", args); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: want a message about %s, got %v", args, says, err)
		}
	}
}
