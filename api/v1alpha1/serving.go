package v1alpha1

import corev1 "k8s.io/api/core/v1"

// APISpec is the HTTP API that farmers call.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.ingress) && has(self.gateway))",message="set api.ingress or api.gateway, not both: farmers come in one way"
type APISpec struct {
	// How many replicas there are. From two on, a disruption budget keeps a node
	// drain from taking the API away. Not used while api.autoscaling is set.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=2
	Replicas *int32 `json:"replicas,omitempty"`
	// Lets a HorizontalPodAutoscaler choose the number of replicas by their
	// processor load. The cluster needs a metrics server for it.
	// +optional
	Autoscaling *APIAutoscaling `json:"autoscaling,omitempty"`
	// What each replica is given.
	// +optional
	// +kubebuilder:default={requests: {cpu: "100m", memory: "128Mi"}, limits: {memory: "512Mi"}}
	Resources Resources `json:"resources,omitzero"`

	// The Service in front of the replicas.
	// +optional
	// +kubebuilder:default={}
	Service ServiceSpec `json:"service,omitzero"`
	// Brings farmers in through an ingress controller.
	// +optional
	Ingress *IngressSpec `json:"ingress,omitempty"`
	// Brings farmers in through a Gateway, where the cluster has the Gateway API.
	// +optional
	Gateway *GatewaySpec `json:"gateway,omitempty"`
	// The networks, in CIDR notation, of the load balancers and ingress
	// controllers whose X-Forwarded-For header tells a farmer's address. From
	// anywhere else the header is ignored. Without it, all farmers behind a proxy
	// share the limits of one address.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="self.all(p, isCIDR(p))",message="api.trustedProxies must be networks such as 10.0.0.0/8 or fd00::/8; write a single address as 10.0.0.1/32"
	TrustedProxies []string `json:"trustedProxies,omitempty"`
	// Limits on the requests of one farmer, shared by all replicas.
	// +optional
	RateLimits RateLimits `json:"rateLimits,omitzero"`

	// How long, in seconds, a replica that is to stop still takes requests while
	// it already reports that it is not ready, so that every load balancer has
	// noticed before it stops.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=300
	// +kubebuilder:default=5
	DrainDelaySeconds *int32 `json:"drainDelaySeconds,omitempty"`
	// How long, in seconds after that, requests that are under way may take.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=600
	// +kubebuilder:default=25
	ShutdownTimeoutSeconds int32 `json:"shutdownTimeoutSeconds,omitempty"`
}

// APIAutoscaling is how a HorizontalPodAutoscaler sizes the API.
//
// +kubebuilder:validation:XValidation:rule="self.min <= self.max",message="api.autoscaling.min must not be more than api.autoscaling.max"
type APIAutoscaling struct {
	// The fewest replicas.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=2
	Min int32 `json:"min,omitempty"`
	// The most replicas.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Max int32 `json:"max"`
	// The processor load to aim at, in percent of what the replicas request.
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
	// Where the Service can be reached from: inside the cluster only, on a port
	// of every machine, or at a load balancer of the cloud's.
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
	// Annotations of the Service, as load balancers want them.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Annotations map[string]Text `json:"annotations,omitempty"`
	// The kind of load balancer, where the cluster has several.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	LoadBalancerClass *string `json:"loadBalancerClass,omitempty"`
	// Local keeps the farmer's address where a load balancer forwards packets as
	// they are; without it every farmer may seem to come from a machine of the
	// cluster.
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
	// The ingress class; without one, the cluster's default.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ClassName *string `json:"className,omitempty"`
	// The Secret with the certificate for the host. Without one, farmers speak
	// plain HTTP and their tokens can be read on the way.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	TLSSecretName string `json:"tlsSecretName,omitempty"`
	// Annotations of the Ingress, as ingress controllers and certificate issuers
	// want them.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Annotations map[string]Text `json:"annotations,omitempty"`
}

// GatewaySpec is an HTTPRoute for the API.
type GatewaySpec struct {
	// The Gateways that the route is attached to.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	ParentRefs []GatewayRef `json:"parentRefs"`
	// The host names that farmers call; without one, every name that the Gateway
	// listens for.
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
	// Its namespace; without one, the node's own.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// Its listener; without one, every listener that fits.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SectionName string `json:"sectionName,omitempty"`
}

// RateLimits are limits on requests. Beyond one, a farmer is told to come back
// later.
type RateLimits struct {
	// For each IP address.
	// +optional
	PerIP *RateLimit `json:"perIP,omitempty"`
	// For each token.
	// +optional
	PerToken *RateLimit `json:"perToken,omitempty"`
}

// RateLimit is a token bucket.
type RateLimit struct {
	// Requests a second in the long run.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	Rate int32 `json:"rate"`
	// Requests that may come at once after a pause.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	Burst int32 `json:"burst"`
}
