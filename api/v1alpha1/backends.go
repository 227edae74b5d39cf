package v1alpha1

// MySQLSpec is the database, MySQL 8 or MariaDB.
//
// +kubebuilder:validation:XValidation:rule="has(self.dsnSecretRef) != has(self.evaluation)",message="set exactly one of mysql.dsnSecretRef (a Secret with the data source name) and mysql.evaluation (a single instance of the operator's, for trying out)"
type MySQLSpec struct {
	// The key of a Secret that holds the data source name, such as
	// `user:password@tcp(host:3306)/downstream`.
	// +optional
	DSNSecretRef *DSNRef `json:"dsnSecretRef,omitempty"`
	// Has the operator run a single instance with a volume claim. It is for
	// trying out: nobody backs it up, and it is away while its pod is.
	// +optional
	Evaluation *MySQLEvaluation `json:"evaluation,omitempty"`
}

// MySQLEvaluation is a database for trying out.
type MySQLEvaluation struct {
	// The image, MariaDB's or MySQL's official one or one like them.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:default="mariadb:11.8"
	Image string `json:"image,omitempty"`
	// Where the records are kept.
	// +optional
	// +kubebuilder:default={}
	Storage Storage `json:"storage,omitzero"`
	// What the instance is given.
	// +optional
	// +kubebuilder:default={requests: {cpu: "100m", memory: "256Mi"}, limits: {memory: "1Gi"}}
	Resources Resources `json:"resources,omitzero"`
}

// RedisSpec is the Redis, one server or whatever a single URL leads to.
//
// +kubebuilder:validation:XValidation:rule="has(self.urlSecretRef) != has(self.evaluation)",message="set exactly one of redis.urlSecretRef (a Secret with the URL) and redis.evaluation (a single instance of the operator's, for trying out)"
type RedisSpec struct {
	// The key of a Secret that holds the URL, such as
	// `redis://user:password@host:6379/0`, or `rediss://` for TLS. The Redis must
	// not evict keys (`maxmemory-policy noeviction`).
	// +optional
	URLSecretRef *URLRef `json:"urlSecretRef,omitempty"`
	// Has the operator run a single instance with a volume claim. It is for
	// trying out: farmers get 503 while its pod is away.
	// +optional
	Evaluation *RedisEvaluation `json:"evaluation,omitempty"`
	// The most jobs that wait or are under way. Beyond it, farmers are told to
	// come back later.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000000
	// +kubebuilder:default=10000
	MaxQueue int32 `json:"maxQueue,omitempty"`
}

// RedisEvaluation is a Redis for trying out.
type RedisEvaluation struct {
	// The image, Redis's official one or one like it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:default="redis:8"
	Image string `json:"image,omitempty"`
	// Where jobs are kept over a restart.
	// +optional
	// +kubebuilder:default={}
	Storage Storage `json:"storage,omitzero"`
	// What the instance is given.
	// +optional
	// +kubebuilder:default={requests: {cpu: "50m", memory: "64Mi"}, limits: {memory: "256Mi"}}
	Resources Resources `json:"resources,omitzero"`
}

// Storage is a volume claim. It stays when the DownstreamNode is deleted.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the storage of an evaluation database cannot be changed: a StatefulSet keeps the volume claims that it was made with"
type Storage struct {
	// Its size, such as 1Gi.
	// +optional
	// +kubebuilder:default="1Gi"
	Size Size `json:"size,omitempty"`
	// Its storage class; without one, the cluster's default.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ClassName *string `json:"className,omitempty"`
}

// GeoIPSpec is where a GeoLite2 or GeoIP2 City database (mmdb) is found. A new
// one is noticed without a restart.
//
// +kubebuilder:validation:XValidation:rule="[has(self.secretRef), has(self.configMapRef), has(self.volumeClaim)].filter(x, x).size() == 1",message="set exactly one of geoip.secretRef, geoip.configMapRef and geoip.volumeClaim"
type GeoIPSpec struct {
	// A key of a Secret, which holds at most 1 MiB.
	// +optional
	SecretRef *GeoIPRef `json:"secretRef,omitempty"`
	// A key of a ConfigMap, which holds at most 1 MiB.
	// +optional
	ConfigMapRef *GeoIPRef `json:"configMapRef,omitempty"`
	// A file on a volume, such as one that geoipupdate keeps fresh.
	// +optional
	VolumeClaim *GeoIPVolume `json:"volumeClaim,omitempty"`
}

// GeoIPVolume is a file on a volume.
type GeoIPVolume struct {
	// The volume claim. Every API replica mounts it, read-only.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ClaimName string `json:"claimName"`
	// The file's path on the volume.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:default="GeoLite2-City.mmdb"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.split('/').exists(p, p == '..')",message="geoip.volumeClaim.path must stay on the volume: relative, without '..'"
	Path string `json:"path,omitempty"`
}
