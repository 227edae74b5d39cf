//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/driveshare/downstream-node/api/v1"
)

// These settings come from the environment.
var (
	repository = os.Getenv("E2E_IMAGE_REPOSITORY") // the image, without its tag
	tag        = os.Getenv("E2E_IMAGE_TAG")        // tag of the image under test
	otherTag   = os.Getenv("E2E_IMAGE_OTHER_TAG")  // another image with the same program, for rollouts
	mysqlDSN   = os.Getenv("E2E_MYSQL_DSN")        // the user must have the right to create databases
	redisURL   = os.Getenv("E2E_REDIS_URL")
	helm       = or(os.Getenv("HELM"), "helm")
)

const (
	release           = "operator"
	operatorNamespace = "e2e-operator"
	chart             = "../../charts/downstream-node"
)

// api is the client for the objects of the cluster.
var api client.Client

func TestMain(m *testing.M) {
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func prepare() error {
	log.SetLogger(logr.Discard())
	for name, value := range map[string]string{
		"E2E_IMAGE_REPOSITORY": repository, "E2E_IMAGE_TAG": tag, "E2E_IMAGE_OTHER_TAG": otherTag,
		"E2E_MYSQL_DSN": mysqlDSN, "E2E_REDIS_URL": redisURL,
	} {
		if value == "" {
			return fmt.Errorf("%s is not set; run the tests with hack/e2e", name)
		}
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	config.QPS, config.Burst = 200, 400
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1.AddToScheme, corev1.AddToScheme, appsv1.AddToScheme, coordinationv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	if api, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	if err := makeNamespace(operatorNamespace); err != nil {
		return err
	}
	return installChart(chart)
}

// makeNamespace makes a namespace that enforces the restricted pod security
// standard.
func makeNamespace(name string) error {
	if _, err := run("kubectl", "create", "namespace", name); err != nil && !strings.Contains(err.Error(), "AlreadyExists") {
		return err
	}
	_, err := run("kubectl", "label", "namespace", name, "--overwrite", "pod-security.kubernetes.io/enforce=restricted")
	return err
}

// installChart installs a chart, or upgrades the release of the chart.
func installChart(path string, more ...string) error {
	args := []string{
		"upgrade", "--install", release, path, "--namespace", operatorNamespace, "--wait", "--timeout", "2m",
		"--set", "image.repository=" + repository, "--set", "image.tag=" + tag,
	}
	_, err := run(helm, append(args, more...)...)
	return err
}

func run(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// must runs a command. It fails the test if the command fails.
func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := run(name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// eventually repeats try until it returns nil. It returns how long that took.
func eventually(t *testing.T, patience time.Duration, try func() error) time.Duration {
	t.Helper()
	for start := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		err := try()
		if err == nil {
			return time.Since(start)
		}
		if time.Since(start) > patience {
			t.Fatalf("not within %v: %v", patience, err)
		}
	}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
