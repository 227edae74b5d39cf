package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
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

// cluster is one namespace of a cluster. It is accessed with the user's rights.
type cluster struct {
	client.Client
	namespace string
	named     bool                         // a flag named the namespace
	core      corev1client.CoreV1Interface // for logs, which client.Client does not have
	host      *url.URL
	http      *http.Client
	// run runs a command in a container. Tests replace it.
	run runFunc
}

func (a *clusterAccess) connect() (c *cluster, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("reach the cluster: %w", err)
		}
	}()
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(&a.rules, &a.overrides)
	config, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, fmt.Errorf("%w; name one with KUBECONFIG or --%s", NoKubeconfig(&a.rules), clientcmd.RecommendedConfigPathFlag)
	}
	if err != nil {
		return nil, err
	}
	config.QPS = -1 // a command sends few requests, and a report must not wait between the logs
	c = &cluster{run: runner(config), named: a.overrides.Context.Namespace != ""}
	if c.namespace, _, err = loader.Namespace(); err != nil {
		return nil, err
	}
	if c.http, err = rest.HTTPClientFor(config); err != nil {
		return nil, err
	}
	if c.host, _, err = rest.DefaultServerUrlFor(config); err != nil {
		return nil, err
	}
	if c.core, err = corev1client.NewForConfigAndClient(config, c.http); err != nil {
		return nil, err
	}
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	c.Client, err = client.New(config, client.Options{Scheme: scheme, HTTPClient: c.http})
	return c, err
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(v1.AddToScheme(scheme), clientgoscheme.AddToScheme(scheme))
}

// NoKubeconfig returns an error that lists the files that were looked for. The
// error of client-go names a variable that users do not know.
func NoKubeconfig(rules *clientcmd.ClientConfigLoadingRules) error {
	return fmt.Errorf("no kubeconfig names a cluster (looked for %s)", strings.Join(rules.GetLoadingPrecedence(), ", "))
}

// node reads a DownstreamNode.
func (c *cluster) node(ctx context.Context, name string) (*v1.DownstreamNode, error) {
	node := &v1.DownstreamNode{}
	return node, c.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: name}, node)
}

// proxied returns the URL of a path on a port of a Service or pod, through the API
// server's proxy. The URL works even if the user cannot connect to the pods directly.
func (c *cluster) proxied(kind, name, port string, path ...string) *url.URL {
	return c.host.JoinPath(append([]string{"api", "v1", "namespaces", c.namespace, kind, "http:" + name + ":" + port, "proxy"}, path...)...)
}

// getFromPod requests a path on the private port of a pod, and returns the
// response's status and body. The clients of client-go do not return the body of
// a 503.
func (c *cluster) getFromPod(ctx context.Context, pod, path string) (status string, body []byte, err error) {
	address := c.proxied("pods", pod, strconv.Itoa(desired.PrivatePort), path)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return "", nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return resp.Status, body, err
}

// maxBody is the maximum number of bytes that are read of a pod's response.
const maxBody = 4 << 20

// farmerAPI returns a client of the node's farmer API, through its Service.
func (c *cluster) farmerAPI(node *v1.DownstreamNode) (*farmer.Client, error) {
	return farmer.NewClient(c.proxied("services", node.Name+"-api", "http").String(), farmer.ClientConfig{HTTP: c.http})
}
