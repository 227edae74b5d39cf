package desired

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
)

// OperatorLabel is the value of the name label on the operator's own pods. The network
// policy of an evaluation Redis allows connections from these pods, so that the
// operator can read the backlog.
const OperatorLabel = "downstream-operator"

// NetworkPolicy restricts the connections to the pods of a role. It does not
// restrict connections from these pods, because databases may be anywhere. Every
// client may connect to the API's port for farmers. No client may connect to the
// pods of Jobs.
func (n *Node) NetworkPolicy(role Role) *networkingv1ac.NetworkPolicyApplyConfiguration {
	own := networkingv1ac.NetworkPolicyPeer().WithPodSelector(n.selectorOf(API, Workers, Migration, Whitelist))
	pods := n.selector(role)
	var rules []*networkingv1ac.NetworkPolicyIngressRuleApplyConfiguration
	switch role {
	case API:
		rules = append(rules, networkingv1ac.NetworkPolicyIngressRule().WithPorts(port(farmersPort)), n.metricsRule())
	case Workers:
		rules = append(rules, n.metricsRule())
	case Jobs:
		pods = n.selectorOf(Migration, Whitelist)
	case MySQL:
		rules = append(rules, networkingv1ac.NetworkPolicyIngressRule().WithPorts(port(mysqlPort)).WithFrom(own))
	case Redis:
		operator := networkingv1ac.NetworkPolicyPeer().
			WithNamespaceSelector(metav1ac.LabelSelector()).
			WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(map[string]string{labelName: OperatorLabel}))
		rules = append(rules, networkingv1ac.NetworkPolicyIngressRule().WithPorts(port(redisPort)).WithFrom(own, operator))
	}
	return owned(n, role, networkingv1ac.NetworkPolicy(n.ObjectName(role), n.Namespace)).
		WithSpec(networkingv1ac.NetworkPolicySpec().
			WithPodSelector(pods).
			WithPolicyTypes(networkingv1.PolicyTypeIngress).
			WithIngress(rules...))
}

// metricsRule allows the metrics namespaces, or by default all namespaces, to connect
// to the private port.
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
