package desired

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
)

// OperatorLabel is the value of the name label on the operator's own pods. The network
// policies allow connections from these pods to an evaluation Redis, so that the
// operator can read the backlog, and to the private ports, so that it can ask pods why
// they are not ready.
const OperatorLabel = "downstream-operator"

// NetworkPolicy restricts the connections to the pods of a role. It does not
// restrict connections from these pods, because databases may be anywhere. Every
// client may connect to the API's port for farmers. No client may connect to the
// pods of Jobs.
func (n *Node) NetworkPolicy(role Role) *networkingv1ac.NetworkPolicyApplyConfiguration {
	clients := append([]Role{API, Workers}, n.jobRoles()...)
	pods := n.selector(role)
	var rules []*networkingv1ac.NetworkPolicyIngressRuleApplyConfiguration
	switch role {
	case API:
		rules = append(rules, networkingv1ac.NetworkPolicyIngressRule().WithPorts(port(farmersPort)), n.metricsRule())
	case Workers:
		rules = append(rules, n.metricsRule())
	case Jobs:
		pods = n.selectorOf(n.jobRoles()...)
	case MySQL:
		rules = append(rules, networkingv1ac.NetworkPolicyIngressRule().WithPorts(port(mysqlPort)).WithFrom(n.peer(clients)))
	case Redis:
		clients = slices.DeleteFunc(clients, func(r Role) bool { return r == Backup })
		rules = append(rules, networkingv1ac.NetworkPolicyIngressRule().WithPorts(port(redisPort)).WithFrom(n.peer(clients), operatorPeer()))
	}
	return owned(n, role, networkingv1ac.NetworkPolicy(n.ObjectName(role), n.Namespace)).
		WithSpec(networkingv1ac.NetworkPolicySpec().
			WithPodSelector(pods).
			WithPolicyTypes(networkingv1.PolicyTypeIngress).
			WithIngress(rules...))
}

// peer selects the pods of some roles.
func (n *Node) peer(roles []Role) *networkingv1ac.NetworkPolicyPeerApplyConfiguration {
	return networkingv1ac.NetworkPolicyPeer().WithPodSelector(n.selectorOf(roles...))
}

// operatorPeer selects the operator's pods in every namespace.
func operatorPeer() *networkingv1ac.NetworkPolicyPeerApplyConfiguration {
	return networkingv1ac.NetworkPolicyPeer().
		WithNamespaceSelector(metav1ac.LabelSelector()).
		WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(map[string]string{labelName: OperatorLabel}))
}

// metricsRule allows the metrics namespaces and the operator, or by default all
// namespaces, to connect to the private port.
func (n *Node) metricsRule() *networkingv1ac.NetworkPolicyIngressRuleApplyConfiguration {
	namespaces := metav1ac.LabelSelector()
	rule := networkingv1ac.NetworkPolicyIngressRule().WithPorts(port(PrivatePort)).
		WithFrom(networkingv1ac.NetworkPolicyPeer().WithNamespaceSelector(namespaces))
	if names := n.Spec.NetworkPolicy.MetricsNamespaces; len(names) > 0 {
		namespaces.WithMatchExpressions(metav1ac.LabelSelectorRequirement().
			WithKey(corev1.LabelMetadataName).WithOperator("In").WithValues(names...))
		rule.WithFrom(operatorPeer())
	}
	return rule
}

func port(number int32) *networkingv1ac.NetworkPolicyPortApplyConfiguration {
	return networkingv1ac.NetworkPolicyPort().WithProtocol(corev1.ProtocolTCP).WithPort(intstr.FromInt32(number))
}
