// Command downstream-operator runs DownstreamNodes on a Kubernetes cluster. Its
// subcommand kubectl has the commands of the kubectl plugin, for the chart's
// Jobs.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/healthz"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/cmd/kubectl-downstream/plugin"
	"github.com/driveshare/downstream-node/controllers"
	"github.com/driveshare/downstream-node/internal/program"
)

// operatorOptions are the flags of the operator.
type operatorOptions struct {
	image                        string
	namespaces                   []string
	leaderElect, metricsInsecure bool
	leaderElectionNamespace      string
	metricsAddress, probeAddress string
	concurrency                  int
}

func main() { os.Exit(program.Run(newCommand(), os.Args[1:])) }

func newCommand() *cobra.Command {
	var o operatorOptions
	cmd := &cobra.Command{
		Use:   "downstream-operator",
		Short: "Run DownstreamNodes on a Kubernetes cluster",
		Long: "Makes the objects on a Kubernetes cluster match the DownstreamNodes there: API\n" +
			"replicas and workers, the schema of the database, and access from outside. It uses\n" +
			"the cluster that it runs in, or the one in KUBECONFIG.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := ctrlconfig.GetConfig()
			if clientcmd.IsEmptyConfig(err) {
				err = fmt.Errorf("this is not a pod, and %w; name one with KUBECONFIG", plugin.NoKubeconfig(clientcmd.NewDefaultClientConfigLoadingRules()))
			}
			if err != nil {
				return fmt.Errorf("find the cluster: %w", err)
			}
			return runOperator(cmd.Context(), cfg, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.image, "image", os.Getenv("DOWNSTREAM_OPERATOR_IMAGE"),
		"image of nodes whose spec names none; if empty and in a pod, the operator's own (DOWNSTREAM_OPERATOR_IMAGE)")
	flags.StringSliceVar(&o.namespaces, "namespaces", nil, "manage only the nodes in these namespaces; if empty, in all")
	flags.BoolVar(&o.leaderElect, "leader-elect", false, "if several operators run, let one work and the others wait")
	flags.StringVar(&o.leaderElectionNamespace, "leader-election-namespace", "", "namespace of the lease; if empty, the operator's own")
	flags.StringVar(&o.metricsAddress, "metrics-address", ":8443", "address for metrics, over TLS and only for users whom the cluster allows; 0 disables")
	flags.BoolVar(&o.metricsInsecure, "metrics-insecure", false, "serve metrics over plain HTTP and without authorization")
	flags.StringVar(&o.probeAddress, "health-probe-address", ":8081", "address for /healthz and /readyz; 0 disables")
	flags.IntVar(&o.concurrency, "concurrency", 4, "number of nodes reconciled at the same time")
	cmd.AddCommand(plugin.NewCommand())
	program.Prepare(cmd)
	return cmd
}

// runOperator runs until ctx ends, and then releases the lease.
func runOperator(ctx context.Context, cfg *rest.Config, o operatorOptions) error {
	logger, err := program.EnvironmentLogger("json", os.Stderr, os.Environ())
	if err != nil {
		return err
	}
	slog.SetDefault(logger) // so that libraries write the same format
	if o.image == "" {
		if o.image, err = findImage(ctx, cfg); err != nil {
			return err
		}
	}
	log := logr.FromSlogHandler(logger.Handler())
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	mgr, err := newOperator(cfg, o)
	if err != nil {
		return err
	}
	return mgr.Start(ctx)
}

func newOperator(cfg *rest.Config, o operatorOptions) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("make the scheme: %w", err)
	}
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:                        scheme,
		Cache:                         cache.Options{DefaultNamespaces: namespaces(o.namespaces)},
		Metrics:                       o.metrics(),
		HealthProbeBindAddress:        o.probeAddress,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              controllers.FieldOwner,
		LeaderElectionNamespace:       o.leaderElectionNamespace,
		LeaderElectionReleaseOnCancel: true, // the process ends when Start returns
	})
	if err != nil {
		return nil, fmt.Errorf("make the operator: %w", err)
	}
	groups, err := discovery.NewDiscoveryClientForConfigAndClient(cfg, mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("make the operator: %w", err)
	}
	openShift, err := controllers.OnOpenShift(groups)
	if err != nil {
		return nil, err
	}
	reconciler := &controllers.Reconciler{
		Client:       mgr.GetClient(),
		Live:         mgr.GetAPIReader(),
		Recorder:     mgr.GetEventRecorder(controllers.FieldOwner),
		DefaultImage: o.image,
		OpenShift:    openShift,
		Identity:     o.identity(),
		Backlog:      controllers.ReadBacklog,
		Readiness:    controllers.ReadReadiness,
		Faults:       controllers.ReadFaults,
		Keys:         controllers.ReadKeys,
	}
	if err := reconciler.SetupWithManager(mgr, controller.Options{MaxConcurrentReconciles: o.concurrency}); err != nil {
		return nil, fmt.Errorf("set the operator up: %w", err)
	}
	if err := errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("ping", healthz.Ping)); err != nil {
		return nil, fmt.Errorf("set the probes up: %w", err)
	}
	return mgr, nil
}

// namespaceFile holds the namespace of the pod that reads it.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// identity returns the namespace and the name of the lease that the replicas of this
// installation share. An operator outside a cluster that names no namespace uses the name
// of its machine.
func (o operatorOptions) identity() string {
	own, _ := os.ReadFile(namespaceFile)
	machine, _ := os.Hostname()
	return cmp.Or(o.leaderElectionNamespace, strings.TrimSpace(string(own)), machine, "unknown") + "/" + controllers.FieldOwner
}

// namespaces returns the namespaces that the cache holds; nil means all.
func namespaces(names []string) map[string]cache.Config {
	if len(names) == 0 {
		return nil
	}
	out := make(map[string]cache.Config, len(names))
	for _, name := range names {
		out[name] = cache.Config{}
	}
	return out
}

// operatorContainer is the name of the operator's container in every installation.
const operatorContainer = "operator"

// findImage reads the operator's own image from its pod. An argument could name an old
// image, because tools that replace the image of a pod do not change its arguments.
func findImage(ctx context.Context, cfg *rest.Config) (string, error) {
	key := client.ObjectKey{Namespace: os.Getenv("POD_NAMESPACE"), Name: os.Getenv("POD_NAME")}
	if key.Namespace == "" || key.Name == "" {
		return "", errors.New("no image for nodes whose spec names none; set --image, or name the operator's own pod in POD_NAME and POD_NAMESPACE")
	}
	c, err := client.New(cfg, client.Options{})
	if err != nil {
		return "", err
	}
	return imageOf(ctx, c, key)
}

// imageOf returns the image of the operator's container in a pod.
func imageOf(ctx context.Context, c client.Reader, pod client.ObjectKey) (string, error) {
	object := &corev1.Pod{}
	if err := c.Get(ctx, pod, object); err != nil {
		return "", fmt.Errorf("read the image of the pod %s, because --image is not set: %w", pod, err)
	}
	for _, container := range object.Spec.Containers {
		if container.Name == operatorContainer {
			return container.Image, nil
		}
	}
	return "", fmt.Errorf("the pod %s has no container %s; set --image", pod, operatorContainer)
}
