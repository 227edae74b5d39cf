package plugin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/pflag"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1alpha1"
	"github.com/driveshare/downstream-node/internal/farmer"
)

// clusterAccess is what kubectl's usual flags say about which cluster is meant.
type clusterAccess struct {
	rules     clientcmd.ClientConfigLoadingRules
	overrides clientcmd.ConfigOverrides
}

// newClusterAccess adds the flags, under the names that kubectl has for them.
func newClusterAccess(flags *pflag.FlagSet) *clusterAccess {
	access := &clusterAccess{rules: *clientcmd.NewDefaultClientConfigLoadingRules()}
	flags.StringVar(&access.rules.ExplicitPath, clientcmd.RecommendedConfigPathFlag, "", "path to the kubeconfig file to use")
	usual := clientcmd.RecommendedConfigOverrideFlags("")
	usual.ClusterOverrideFlags.APIServer.ShortName = "s"
	clientcmd.BindOverrideFlags(&access.overrides, flags, usual)
	return access
}

// cluster is a namespace of a cluster, seen with the rights of its user.
type cluster struct {
	client.Client
	namespace string
	host      *url.URL
	http      *http.Client
}

func (a *clusterAccess) connect() (*cluster, error) {
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(&a.rules, &a.overrides)
	config, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, fmt.Errorf("%w; name one with KUBECONFIG or --%s", NoKubeconfig(&a.rules), clientcmd.RecommendedConfigPathFlag)
	}
	if err != nil {
		return nil, err
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, err
	}
	return connect(config, namespace)
}

// NoKubeconfig returns an error that lists the files that were looked for. The
// error of client-go names a variable that users do not know.
func NoKubeconfig(rules *clientcmd.ClientConfigLoadingRules) error {
	return fmt.Errorf("no kubeconfig names a cluster (looked for %s)", strings.Join(rules.GetLoadingPrecedence(), ", "))
}

func connect(config *rest.Config, namespace string) (*cluster, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme, coordinationv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	host, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	c, err := client.New(config, client.Options{Scheme: scheme, HTTPClient: httpClient})
	if err != nil {
		return nil, err
	}
	return &cluster{Client: c, namespace: namespace, host: host, http: httpClient}, nil
}

// node reads a DownstreamNode.
func (c *cluster) node(ctx context.Context, name string) (*v1alpha1.DownstreamNode, error) {
	node := &v1alpha1.DownstreamNode{}
	return node, c.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: name}, node)
}

// proxied is a path behind the API server's proxy to a port of a Service or a
// pod: what cannot be reached from where kubectl runs can be reached from there.
func (c *cluster) proxied(kind, name, port string, path ...string) *url.URL {
	return c.host.JoinPath(append([]string{"api", "v1", "namespaces", c.namespace, kind, "http:" + name + ":" + port, "proxy"}, path...)...)
}

// farmerAPI is a client of the node's farmer API, through its Service.
func (c *cluster) farmerAPI(node *v1alpha1.DownstreamNode) (*farmer.Client, error) {
	return farmer.NewClient(c.proxied("services", node.Name+"-api", "http").String(), farmer.ClientConfig{HTTP: c.http})
}
