// Command downstream-operator runs DownstreamNodes on a Kubernetes cluster. Its
// subcommand kubectl has the commands of the kubectl plugin, for the chart's
// Jobs.
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"

	"github.com/driveshare/downstream-node/cmd/kubectl-downstream/plugin"
	"github.com/driveshare/downstream-node/internal/program"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/driveshare/downstream-node/api/v1alpha1"
	"github.com/driveshare/downstream-node/controllers"
	"github.com/driveshare/downstream-node/internal/config"
)

// operatorOptions are the flags of the operator.
type operatorOptions struct {
	image                   string
	namespaces              []string
	leaderElect             bool
	leaderElectionNamespace string
	metricsAddress          string
	metricsInsecure         bool
	probeAddress            string
	concurrency             int
}

func main() { os.Exit(program.Run(newCommand(), os.Args[1:])) }

func newCommand() *cobra.Command {
	var o operatorOptions
	cmd := &cobra.Command{
		Use:   "downstream-operator",
		Short: "Run DownstreamNodes on a Kubernetes cluster",
		Long: "Makes what runs on a Kubernetes cluster equal to what DownstreamNodes ask for: API\n" +
			"replicas and workers, the schema of the database, and the ways in. It speaks to the\n" +
			"cluster that it runs in, or to that of the KUBECONFIG.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := ctrlconfig.GetConfig()
			if clientcmd.IsEmptyConfig(err) {
				err = fmt.Errorf("this is no pod, and %w; name one with KUBECONFIG", plugin.NoKubeconfig(clientcmd.NewDefaultClientConfigLoadingRules()))
			}
			if err != nil {
				return fmt.Errorf("find the cluster: %w", err)
			}
			return runOperator(cmd.Context(), cfg, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.image, "image", os.Getenv("DOWNSTREAM_OPERATOR_IMAGE"),
		"image for nodes that name none; in a pod, the operator's own where empty (DOWNSTREAM_OPERATOR_IMAGE)")
	flags.StringSliceVar(&o.namespaces, "namespaces", nil, "look after the nodes of these namespaces only; all where empty")
	flags.BoolVar(&o.leaderElect, "leader-elect", false, "let one of several operators lead; the others wait")
	flags.StringVar(&o.leaderElectionNamespace, "leader-election-namespace", "", "namespace of the lease; the operator's own where empty")
	flags.StringVar(&o.metricsAddress, "metrics-address", ":8443", "where metrics are served, over TLS and to whom the cluster lets read them; 0 for nowhere")
	flags.BoolVar(&o.metricsInsecure, "metrics-insecure", false, "serve metrics over plain HTTP and to anybody")
	flags.StringVar(&o.probeAddress, "health-probe-address", ":8081", "where /healthz and /readyz are served; 0 for nowhere")
	flags.IntVar(&o.concurrency, "concurrency", 4, "how many nodes are reconciled at once")
	cmd.AddCommand(plugin.NewCommand(), program.NewVersionCommand())
	program.PointToHelp(cmd)
	return cmd
}

// runOperator runs until ctx ends, and gives up the lease then.
func runOperator(ctx context.Context, cfg *rest.Config, o operatorOptions) error {
	if o.image == "" {
		image, err := findImage(ctx, cfg)
		if err != nil {
			return err
		}
		o.image = image
	}
	log := logr.FromSlogHandler(program.NewLogger(config.Default().Log, os.Stderr).Handler())
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
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("make the scheme: %w", err)
		}
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
	reconciler := &controllers.Reconciler{
		Client:       mgr.GetClient(),
		Live:         mgr.GetAPIReader(),
		Recorder:     mgr.GetEventRecorder(controllers.FieldOwner),
		DefaultImage: o.image,
		Backlog:      controllers.ReadBacklog,
	}
	if err := reconciler.SetupWithManager(mgr, controller.Options{MaxConcurrentReconciles: o.concurrency}); err != nil {
		return nil, fmt.Errorf("set the operator up: %w", err)
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, fmt.Errorf("set the probes up: %w", err)
	}
	if err := mgr.AddReadyzCheck("ping", healthz.Ping); err != nil {
		return nil, fmt.Errorf("set the probes up: %w", err)
	}
	return mgr, nil
}

// namespaces is what the cache holds; nil is everything.
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

// metrics serves the operator's metrics to whom the cluster knows and allows.
func (o operatorOptions) metrics() metricsserver.Options {
	if o.metricsInsecure {
		return metricsserver.Options{BindAddress: o.metricsAddress}
	}
	return metricsserver.Options{
		BindAddress:    o.metricsAddress,
		SecureServing:  true,
		FilterProvider: filters.WithAuthenticationAndAuthorization,
		// HTTP/2 lets one client open streams without end, and nobody needs it here.
		TLSOpts: []func(*tls.Config){func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }},
	}
}
