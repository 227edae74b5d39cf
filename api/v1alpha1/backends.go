package v1alpha1

// MySQLSpec is the database: MySQL 8 or MariaDB.
//
// +kubebuilder:validation:XValidation:rule="has(self.dsnSecretRef) != has(self.evaluation)",message="set exactly one of mysql.dsnSecretRef (a Secret with the data source name) and mysql.evaluation (a single instance that the operator runs, for evaluation)"
type MySQLSpec struct {
	// The key of a Secret that holds the data source name, such as
	// `user:password@tcp(host:3306)/downstream`.
	// +optional
	DSNSecretRef *DSNRef `json:"dsnSecretRef,omitempty"`
	// The key of a Secret that holds the data source name of a replica. The API reads the
	// status lists, the page and the history of the node from it while it is at most 10
	// seconds behind.
	// +optional
	ReadDSNSecretRef *DSNRef `json:"readDSNSecretRef,omitempty"`
	// If set, the operator runs a single database with a volume claim. Use this
	// database only for evaluation: it has no backup, and the node is down while the
	// database's pod restarts.
	// +optional
	Evaluation *MySQLEvaluation `json:"evaluation,omitempty"`
}

// MySQLEvaluation is a database that the operator runs for evaluation.
type MySQLEvaluation struct {
	// The image: an official image of MariaDB or MySQL, or a compatible image.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:default="mariadb:11.8"
	Image string `json:"image,omitempty"`
	// The volume claim for the database's files.
	// +optional
	// +kubebuilder:default={}
	Storage Storage `json:"storage,omitzero"`
	// The resources of the instance.
	// +optional
	// +kubebuilder:default={requests: {cpu: "100m", memory: "256Mi"}, limits: {memory: "1Gi"}}
	Resources Resources `json:"resources,omitzero"`
}

// RedisSpec is the Redis with the node's queue.
//
// +kubebuilder:validation:XValidation:rule="has(self.urlSecretRef) != has(self.evaluation)",message="set exactly one of redis.urlSecretRef (a Secret with the URL) and redis.evaluation (a single instance that the operator runs, for evaluation)"
type RedisSpec struct {
	// The key of a Secret that holds the URL, such as
	// `redis://user:password@host:6379/0`. For TLS, the URL begins with `rediss://`.
	// The Redis must not evict keys (`maxmemory-policy noeviction`).
	// +optional
	URLSecretRef *URLRef `json:"urlSecretRef,omitempty"`
	// If set, the operator runs a single Redis with a volume claim. Use this Redis
	// only for evaluation: farmers get 503 while the Redis pod restarts.
	// +optional
	Evaluation *RedisEvaluation `json:"evaluation,omitempty"`
	// The maximum number of jobs that wait or are being verified. If the queue is
	// full, farmers get 503 with Retry-After.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000000
	// +kubebuilder:default=10000
	MaxQueue int32 `json:"maxQueue,omitempty"`
}

// RedisEvaluation is a Redis that the operator runs for evaluation.
type RedisEvaluation struct {
	// The image: the official image of Redis, or a compatible image.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:default="redis:8"
	Image string `json:"image,omitempty"`
	// The volume claim for Redis's files, so that a restart loses no jobs.
	// +optional
	// +kubebuilder:default={}
	Storage Storage `json:"storage,omitzero"`
	// The resources of the instance.
	// +optional
	// +kubebuilder:default={requests: {cpu: "50m", memory: "64Mi"}, limits: {memory: "256Mi"}}
	Resources Resources `json:"resources,omitzero"`
}

// Storage is a volume claim. The claim is not deleted with the DownstreamNode.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the storage of an evaluation database cannot be changed: a StatefulSet keeps its first volume claims"
type Storage struct {
	// The size, such as 1Gi.
	// +optional
	// +kubebuilder:default="1Gi"
	Size Size `json:"size,omitempty"`
	// The storage class. The default is the cluster's default class.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	ClassName *string `json:"className,omitempty"`
}

// GeoIPSpec names a GeoLite2 or GeoIP2 City database (an mmdb file). If the file is
// replaced, the API loads the new file without a restart.
//
// +kubebuilder:validation:XValidation:rule="[has(self.secretRef), has(self.configMapRef), has(self.volumeClaim)].filter(x, x).size() == 1",message="set exactly one of geoip.secretRef, geoip.configMapRef and geoip.volumeClaim"
type GeoIPSpec struct {
	// The key of a Secret that holds the file. A Secret can hold at most 1 MiB.
	// +optional
	SecretRef *GeoIPRef `json:"secretRef,omitempty"`
	// The key of a ConfigMap that holds the file. A ConfigMap can hold at most 1 MiB.
	// +optional
	ConfigMapRef *GeoIPRef `json:"configMapRef,omitempty"`
	// The file on a volume. For example, geoipupdate can write the file.
	// +optional
	VolumeClaim *GeoIPVolume `json:"volumeClaim,omitempty"`
}

// GeoIPVolume is a file on a volume.
type GeoIPVolume struct {
	// The name of the volume claim. Every API replica mounts this volume read-only.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	ClaimName string `json:"claimName"`
	// The path of the file, relative to the root of the volume.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:default="GeoLite2-City.mmdb"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.split('/').exists(p, p == '..')",message="geoip.volumeClaim.path must stay on the volume: relative, without '..'"
	Path string `json:"path,omitempty"`
}
