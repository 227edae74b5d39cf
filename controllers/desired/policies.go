package desired

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
)

// OperatorLabel is the name label of the operator's own pods. The network policy
// of an evaluation Redis admits them, so that the operator can read the backlog.
const OperatorLabel = "downstream-operator"

// APINetworkPolicy admits farmers from anywhere, and readers of metrics.
func (n *Node) APINetworkPolicy() *networkingv1ac.NetworkPolicyApplyConfiguration {
	return n.networkPolicy(string(API), n.selector(API),
		networkingv1ac.NetworkPolicyIngressRule().WithPorts(port(farmersPort)),
		n.metricsRule())
}

// WorkersNetworkPolicy admits readers of metrics.
func (n *Node) WorkersNetworkPolicy() *networkingv1ac.NetworkPolicyApplyConfiguration {
	return n.networkPolicy(string(Workers), n.selector(Workers), n.metricsRule())
}

// JobsNetworkPolicy admits no connection.
func (n *Node) JobsNetworkPolicy() *networkingv1ac.NetworkPolicyApplyConfiguration {
	return n.networkPolicy("jobs", n.selectorOf(Migration, Whitelist))
}

// MySQLNetworkPolicy admits the node's own pods.
func (n *Node) MySQLNetworkPolicy() *networkingv1ac.NetworkPolicyApplyConfiguration {
	return n.networkPolicy(string(MySQL), n.selector(MySQL),
		networkingv1ac.NetworkPolicyIngressRule().WithPorts(port(mysqlPort)).WithFrom(n.ownPods()))
}

// RedisNetworkPolicy admits the node's own pods and the operator.
func (n *Node) RedisNetworkPolicy() *networkingv1ac.NetworkPolicyApplyConfiguration {
	operator := networkingv1ac.NetworkPolicyPeer().
		WithNamespaceSelector(metav1ac.LabelSelector()).
		WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(map[string]string{labelName: OperatorLabel}))
	return n.networkPolicy(string(Redis), n.selector(Redis),
		networkingv1ac.NetworkPolicyIngressRule().WithPorts(port(redisPort)).WithFrom(n.ownPods(), operator))
}

// networkPolicy restricts connections to pods. It does not restrict connections
// from pods, because databases may be anywhere.
func (n *Node) networkPolicy(name string, pods *metav1ac.LabelSelectorApplyConfiguration, rules ...*networkingv1ac.NetworkPolicyIngressRuleApplyConfiguration) *networkingv1ac.NetworkPolicyApplyConfiguration {
	return owned(n, Role(name), networkingv1ac.NetworkPolicy(n.Name+"-"+name, n.Namespace)).
		WithSpec(networkingv1ac.NetworkPolicySpec().
			WithPodSelector(pods).
			WithPolicyTypes(networkingv1.PolicyTypeIngress).
			WithIngress(rules...))
}

func (n *Node) ownPods() *networkingv1ac.NetworkPolicyPeerApplyConfiguration {
	return networkingv1ac.NetworkPolicyPeer().WithPodSelector(n.selectorOf(API, Workers, Migration, Whitelist))
}

func (n *Node) metricsRule() *networkingv1ac.NetworkPolicyIngressRuleApplyConfiguration {
	namespaces := metav1ac.LabelSelector()
	if names := n.Spec.NetworkPolicy.MetricsNamespaces; len(names) > 0 {
		namespaces.WithMatchExpressions(metav1ac.LabelSelectorRequirement().
			WithKey(corev1.LabelMetadataName).WithOperator("In").WithValues(names...))
	}
	return networkingv1ac.NetworkPolicyIngressRule().
		WithPorts(port(PrivatePort)).
		WithFrom(networkingv1ac.NetworkPolicyPeer().WithNamespaceSelector(namespaces))
}

func port(number int32) *networkingv1ac.NetworkPolicyPortApplyConfiguration {
	return networkingv1ac.NetworkPolicyPort().WithProtocol(corev1.ProtocolTCP).WithPort(intstr.FromInt32(number))
}
