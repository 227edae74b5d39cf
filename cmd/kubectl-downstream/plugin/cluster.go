package plugin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1alpha1"
	"github.com/driveshare/downstream-node/controllers/desired"
	"github.com/driveshare/downstream-node/internal/farmer"
)

// clusterAccess holds the values of kubectl's usual flags for choosing a cluster.
type clusterAccess struct {
	rules     clientcmd.ClientConfigLoadingRules
	overrides clientcmd.ConfigOverrides
}

// newClusterAccess adds the flags, with the same names as in kubectl.
func newClusterAccess(flags *pflag.FlagSet) *clusterAccess {
	access := &clusterAccess{rules: *clientcmd.NewDefaultClientConfigLoadingRules()}
	flags.StringVar(&access.rules.ExplicitPath, clientcmd.RecommendedConfigPathFlag, "", "path to the kubeconfig file to use")
	usual := clientcmd.RecommendedConfigOverrideFlags("")
	usual.ClusterOverrideFlags.APIServer.ShortName = "s"
	clientcmd.BindOverrideFlags(&access.overrides, flags, usual)
	return access
}

// cluster is a namespace of a cluster, accessed with the rights of its user.
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
		err = fmt.Errorf("%w; name one with KUBECONFIG or --%s", NoKubeconfig(&a.rules), clientcmd.RecommendedConfigPathFlag)
	}
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	c, err := connect(config, namespace)
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	return c, nil
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

// proxied returns the URL of a path on a port of a Service or pod, through the
// API server's proxy. It works where the pods themselves cannot be reached.
func (c *cluster) proxied(kind, name, port string, path ...string) *url.URL {
	return c.host.JoinPath(append([]string{"api", "v1", "namespaces", c.namespace, kind, "http:" + name + ":" + port, "proxy"}, path...)...)
}

// getFromPod requests a path on the private port of a pod. The caller must close
// the body.
func (c *cluster) getFromPod(ctx context.Context, pod, path string) (*http.Response, error) {
	address := c.proxied("pods", pod, strconv.Itoa(desired.PrivatePort), path)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return nil, err
	}
	return c.http.Do(req)
}

// farmerAPI returns a client of the node's farmer API, through its Service.
func (c *cluster) farmerAPI(node *v1alpha1.DownstreamNode) (*farmer.Client, error) {
	return farmer.NewClient(c.proxied("services", node.Name+"-api", "http").String(), farmer.ClientConfig{HTTP: c.http})
}
