package v1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// APISpec is the HTTP API that farmers call.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.ingress) && has(self.gateway))",message="set api.ingress or api.gateway, not both"
type APISpec struct {
	// The number of replicas. If there are two or more, a disruption budget limits
	// how many replicas Kubernetes evicts at the same time, for example during the
	// drain of a Kubernetes node. This field is ignored if api.autoscaling is set.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=2
	Replicas *int32 `json:"replicas,omitempty"`
	// If set, a HorizontalPodAutoscaler scales the replicas with their CPU load. The
	// cluster needs a metrics server.
	// +optional
	Autoscaling *APIAutoscaling `json:"autoscaling,omitempty"`
	// The resources of each replica.
	// +optional
	// +kubebuilder:default={requests: {cpu: "100m", memory: "128Mi"}, limits: {memory: "512Mi"}}
	Resources Resources `json:"resources,omitzero"`

	// The Service in front of the replicas.
	// +optional
	// +kubebuilder:default={}
	Service ServiceSpec `json:"service,omitzero"`
	// If set, farmers reach the API through an ingress controller.
	// +optional
	Ingress *IngressSpec `json:"ingress,omitempty"`
	// If set, farmers reach the API through a Gateway. The cluster needs the Gateway
	// API.
	// +optional
	Gateway *GatewaySpec `json:"gateway,omitempty"`
	// The networks of your load balancers and ingress controllers, in CIDR notation.
	// The API reads the farmer's IP address from the X-Forwarded-For header of
	// requests from these networks. It ignores the header of other requests. All
	// farmers behind a proxy that is not in these networks share the limits of one IP
	// address.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="self.all(p, isCIDR(p))",message="api.trustedProxies must be networks such as 10.0.0.0/8 or fd00::/8; write a single address as 10.0.0.1/32"
	TrustedProxies []string `json:"trustedProxies,omitempty"`
	// The limits on the requests of one farmer, counted over all replicas.
	// +optional
	RateLimits RateLimits `json:"rateLimits,omitzero"`

	// The time in seconds for which a stopping replica reports that it is not ready,
	// but still accepts requests. During this time, load balancers stop sending
	// requests to the replica.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=300
	// +kubebuilder:default=5
	DrainDelaySeconds *int32 `json:"drainDelaySeconds,omitempty"`
	// The time in seconds, after drainDelaySeconds, in which a stopping replica can
	// finish its requests in flight.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=600
	// +kubebuilder:default=25
	ShutdownTimeoutSeconds int32 `json:"shutdownTimeoutSeconds,omitempty"`

	// A pod template (`metadata` and `spec`) that is merged into the pods of the API, by
	// strategic merge. The operator's container has the name "api". docs/how-to/kubernetes-fit.md
	// says what a template cannot change.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	PodTemplate *runtime.RawExtension `json:"podTemplate,omitempty"`
}

// APIAutoscaling sets how a HorizontalPodAutoscaler scales the API.
//
// +kubebuilder:validation:XValidation:rule="self.min <= self.max",message="api.autoscaling.min must not be more than api.autoscaling.max"
type APIAutoscaling struct {
	// The minimum number of replicas.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=2
	Min int32 `json:"min,omitempty"`
	// The maximum number of replicas.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Max int32 `json:"max"`
	// The average CPU load that the autoscaler tries to reach, in percent of the CPU
	// that the replicas request.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=70
	TargetCPUPercent int32 `json:"targetCPUPercent,omitempty"`
}

// ServiceSpec is the Service in front of the API.
//
// +kubebuilder:validation:XValidation:rule="!has(self.loadBalancerClass) || self.type == 'LoadBalancer'",message="api.service.loadBalancerClass is for type LoadBalancer"
// +kubebuilder:validation:XValidation:rule="!has(self.externalTrafficPolicy) || self.type != 'ClusterIP'",message="api.service.externalTrafficPolicy is for types LoadBalancer and NodePort"
// +kubebuilder:validation:XValidation:rule="!has(self.ipFamilies) || self.ipFamilies.size() < 2 || has(self.ipFamilyPolicy) && self.ipFamilyPolicy != 'SingleStack'",message="two api.service.ipFamilies need api.service.ipFamilyPolicy PreferDualStack or RequireDualStack"
type ServiceSpec struct {
	// How clients reach the Service: only from inside the cluster (ClusterIP), on a
	// port of every Kubernetes node (NodePort), or through a cloud load balancer
	// (LoadBalancer).
	// +optional
	// +kubebuilder:validation:Enum=ClusterIP;NodePort;LoadBalancer
	// +kubebuilder:default=ClusterIP
	Type corev1.ServiceType `json:"type,omitempty"`
	// The port of the Service.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +kubebuilder:default=80
	Port int32 `json:"port,omitempty"`
	// Annotations of the Service, for example settings of a load balancer.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",message="the keys of api.service.annotations must be label names such as team or example.org/team"
	Annotations map[string]Text `json:"annotations,omitempty"`
	// The class of the load balancer, if the cluster has several classes.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	LoadBalancerClass *string `json:"loadBalancerClass,omitempty"`
	// With Local, the API sees the farmer's IP address if the load balancer does not
	// replace it. With Cluster, Kubernetes may replace the farmer's address with the
	// address of a Kubernetes node.
	// +optional
	// +kubebuilder:validation:Enum=Cluster;Local
	ExternalTrafficPolicy corev1.ServiceExternalTrafficPolicy `json:"externalTrafficPolicy,omitempty"`
	// Whether the Service has addresses of one IP family (SingleStack), of both if the
	// cluster has both (PreferDualStack), or of both in any case (RequireDualStack). The
	// default of a new Service is SingleStack. If the field is removed, the Service keeps
	// the addresses that it has.
	// +optional
	// +kubebuilder:validation:Enum=SingleStack;PreferDualStack;RequireDualStack
	IPFamilyPolicy *corev1.IPFamilyPolicy `json:"ipFamilyPolicy,omitempty"`
	// The IP families of the Service, the first one first. The default is the cluster's.
	// Kubernetes never changes the first family of a Service that exists: delete the
	// Service, and the operator creates it again.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:items:Enum=IPv4;IPv6
	// +kubebuilder:validation:XValidation:rule="self.size() < 2 || self[0] != self[1]",message="api.service.ipFamilies must not name a family twice"
	IPFamilies []corev1.IPFamily `json:"ipFamilies,omitempty"`
}

// IngressSpec is an Ingress for the API.
type IngressSpec struct {
	// The host name that farmers call.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Host string `json:"host"`
	// The ingress class. The default is the cluster's default ingress class.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	ClassName *string `json:"className,omitempty"`
	// The name of the Secret with the TLS certificate of the host. Without a
	// certificate, farmers use plain HTTP, and attackers on the network can read
	// their tokens.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$`
	TLSSecretName string `json:"tlsSecretName,omitempty"`
	// Annotations of the Ingress, for example settings of an ingress controller or
	// the name of a certificate issuer.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",message="the keys of api.ingress.annotations must be label names such as team or example.org/team"
	Annotations map[string]Text `json:"annotations,omitempty"`
}

// GatewaySpec is an HTTPRoute for the API.
type GatewaySpec struct {
	// The Gateways to which the route is attached.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	ParentRefs []GatewayRef `json:"parentRefs"`
	// The host names that farmers call. The default is all host names of the
	// Gateway's listeners.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Hostnames []string `json:"hostnames,omitempty"`
}

// GatewayRef names a Gateway.
type GatewayRef struct {
	// The name of the Gateway.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name"`
	// The namespace of the Gateway. The default is the namespace of the DownstreamNode.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$`
	Namespace string `json:"namespace,omitempty"`
	// The name of the Gateway's listener. The default is all listeners that match the
	// host names.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SectionName string `json:"sectionName,omitempty"`
}

// RateLimits are the limits on requests. A farmer who exceeds a limit gets 503 with
// Retry-After.
type RateLimits struct {
	// The limit for each IP address.
	// +optional
	PerIP *RateLimit `json:"perIP,omitempty"`
	// The limit for each token.
	// +optional
	PerToken *RateLimit `json:"perToken,omitempty"`
}

// RateLimit is the rate and the size of a token bucket.
type RateLimit struct {
	// The maximum average number of requests per second.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	Rate int32 `json:"rate"`
	// The maximum number of requests that may arrive in a burst after a pause.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	Burst int32 `json:"burst"`
}
