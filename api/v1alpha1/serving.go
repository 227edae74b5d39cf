package v1alpha1

import corev1 "k8s.io/api/core/v1"

// APISpec is the HTTP API that farmers call.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.ingress) && has(self.gateway))",message="set api.ingress or api.gateway, not both"
type APISpec struct {
	// The number of replicas. With two or more, a disruption budget limits how many a
	// drain of a Kubernetes node evicts at once. Not used if api.autoscaling is set.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=2
	Replicas *int32 `json:"replicas,omitempty"`
	// Makes a HorizontalPodAutoscaler set the number of replicas by their CPU load. The
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
	// Routes farmers through an ingress controller.
	// +optional
	Ingress *IngressSpec `json:"ingress,omitempty"`
	// Routes farmers through a Gateway. The cluster needs the Gateway API.
	// +optional
	Gateway *GatewaySpec `json:"gateway,omitempty"`
	// The networks, in CIDR notation, of the load balancers and ingress controllers
	// whose X-Forwarded-For header the API trusts for the address of a farmer. The API
	// ignores the header from other addresses. Without trusted proxies, all farmers
	// behind a proxy share the limits of one address.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="self.all(p, isCIDR(p))",message="api.trustedProxies must be networks such as 10.0.0.0/8 or fd00::/8; write a single address as 10.0.0.1/32"
	TrustedProxies []string `json:"trustedProxies,omitempty"`
	// Limits on the requests of one farmer, over all replicas.
	// +optional
	RateLimits RateLimits `json:"rateLimits,omitzero"`

	// How long, in seconds, a stopping replica still takes requests while it reports
	// that it is not ready. In this time load balancers stop sending requests to it.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=300
	// +kubebuilder:default=5
	DrainDelaySeconds *int32 `json:"drainDelaySeconds,omitempty"`
	// How long, in seconds after that, the requests in flight may take.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=600
	// +kubebuilder:default=25
	ShutdownTimeoutSeconds int32 `json:"shutdownTimeoutSeconds,omitempty"`
}

// APIAutoscaling sets how a HorizontalPodAutoscaler scales the API.
//
// +kubebuilder:validation:XValidation:rule="self.min <= self.max",message="api.autoscaling.min must not be more than api.autoscaling.max"
type APIAutoscaling struct {
	// The smallest number of replicas.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=2
	Min int32 `json:"min,omitempty"`
	// The largest number of replicas.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Max int32 `json:"max"`
	// The target CPU load, in percent of the CPU that the replicas request.
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
type ServiceSpec struct {
	// Where clients reach the Service: only inside the cluster (ClusterIP), on a port of
	// every Kubernetes node (NodePort), or at a cloud load balancer (LoadBalancer).
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
	// Annotations of the Service, for example for a load balancer.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Annotations map[string]Text `json:"annotations,omitempty"`
	// The class of load balancer, if the cluster has several.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	LoadBalancerClass *string `json:"loadBalancerClass,omitempty"`
	// With Local, the API sees the address of the farmer if the load balancer forwards
	// packets unchanged. Otherwise every farmer may appear to have the address of a
	// Kubernetes node.
	// +optional
	// +kubebuilder:validation:Enum=Cluster;Local
	ExternalTrafficPolicy corev1.ServiceExternalTrafficPolicy `json:"externalTrafficPolicy,omitempty"`
}

// IngressSpec is an Ingress for the API.
type IngressSpec struct {
	// The host name that farmers call.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Host string `json:"host"`
	// The ingress class. The default is the cluster's default class.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ClassName *string `json:"className,omitempty"`
	// The Secret with the certificate of the host. Without it, farmers use plain HTTP,
	// and others on the network can read their tokens.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	TLSSecretName string `json:"tlsSecretName,omitempty"`
	// Annotations of the Ingress, for example for an ingress controller or a
	// certificate issuer.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
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
	// The host names that farmers call. The default is every name of the Gateway's
	// listeners.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Hostnames []string `json:"hostnames,omitempty"`
}

// GatewayRef names a Gateway.
type GatewayRef struct {
	// The name of the Gateway.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// The namespace of the Gateway. The default is the namespace of the DownstreamNode.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// The listener of the Gateway. The default is every listener that matches.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SectionName string `json:"sectionName,omitempty"`
}

// RateLimits limit requests. Beyond a limit, a farmer gets 503 with Retry-After.
type RateLimits struct {
	// The limit for each IP address.
	// +optional
	PerIP *RateLimit `json:"perIP,omitempty"`
	// The limit for each token.
	// +optional
	PerToken *RateLimit `json:"perToken,omitempty"`
}

// RateLimit is a token bucket.
type RateLimit struct {
	// The average number of requests a second.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	Rate int32 `json:"rate"`
	// The number of requests that may arrive at once after a pause.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	Burst int32 `json:"burst"`
}
