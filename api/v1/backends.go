package v1

// MySQLSpec is the database: MySQL 8 or MariaDB.
//
// +kubebuilder:validation:XValidation:rule="[has(self.dsnSecretRef), has(self.connection), has(self.evaluation)].filter(x, x).size() == 1",message="set exactly one of mysql.dsnSecretRef (a Secret with the data source name), mysql.connection (hosts, and Secrets of any layout) and mysql.evaluation (a single instance that the operator runs, for evaluation)"
type MySQLSpec struct {
	// The key of a Secret that holds the data source name, such as
	// `user:password@tcp(host:3306)/downstream`. Several hosts are separated by commas:
	// `tcp(a:3306,b:3306)`; see connection.hosts.
	// +optional
	DSNSecretRef *DSNRef `json:"dsnSecretRef,omitempty"`
	// The key of a Secret that holds the data source name of a replica. The API reads the
	// status lists, the page and the history of the node from it while it is at most 10
	// seconds behind.
	// +optional
	ReadDSNSecretRef *DSNRef `json:"readDSNSecretRef,omitempty"`
	// The hosts, and the Secrets with the user name, the password and the certificates.
	// Use this if the Secrets of another operator have no data source name.
	// +optional
	Connection *MySQLConnection `json:"connection,omitempty"`
	// If set, the operator runs a single database with a volume claim. Use this
	// database only for evaluation: the node is down while the database's pod restarts,
	// and what happened after the last backup (see backup) is lost with its volume.
	// +optional
	Evaluation *MySQLEvaluation `json:"evaluation,omitempty"`
}

// MySQLConnection is a database with its parts named one by one.
//
// +kubebuilder:validation:XValidation:rule="has(self.username) != has(self.usernameSecretRef)",message="set exactly one of mysql.connection.username and mysql.connection.usernameSecretRef"
type MySQLConnection struct {
	// The host names or IP addresses of the servers. Several servers must have the same
	// records, such as the nodes of a Galera cluster. The node uses the first that works,
	// and the next if that one fails, is read-only or is cut off from its cluster.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Hosts []Host `json:"hosts"`
	// The port of every host.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +kubebuilder:default=3306
	Port int32 `json:"port,omitempty"`
	// The name of the database.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Database string `json:"database"`

	Credentials `json:",inline"`
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
// +kubebuilder:validation:XValidation:rule="[has(self.urlSecretRef), has(self.connection), has(self.evaluation)].filter(x, x).size() == 1",message="set exactly one of redis.urlSecretRef (a Secret with the URL), redis.connection (hosts, and Secrets of any layout) and redis.evaluation (a single instance that the operator runs, for evaluation)"
type RedisSpec struct {
	// The key of a Secret that holds the URL, such as
	// `redis://user:password@host:6379/0`. For TLS, the URL begins with `rediss://`.
	// The Redis must not evict keys (`maxmemory-policy noeviction`).
	// +optional
	URLSecretRef *URLRef `json:"urlSecretRef,omitempty"`
	// The hosts, and the Secrets with the user name, the password and the certificates.
	// Use this for Sentinels or a Cluster, or if the Secrets of another operator have no
	// URL. The Redis must not evict keys.
	// +optional
	Connection *RedisConnection `json:"connection,omitempty"`
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

// RedisConnection is a Redis with its parts named one by one.
//
// +kubebuilder:validation:XValidation:rule="!has(self.masterName) || !has(self.cluster) || !self.cluster",message="redis.connection.masterName is for Sentinels; a Cluster has none"
// +kubebuilder:validation:XValidation:rule="size(self.hosts) == 1 || has(self.masterName) || (has(self.cluster) && self.cluster)",message="several redis.connection.hosts are Sentinels, which need masterName, or nodes of a Cluster, which need cluster: true"
// +kubebuilder:validation:XValidation:rule="!has(self.cluster) || !self.cluster || !has(self.database) || self.database == 0",message="redis.connection.database must be 0 for a Cluster"
// +kubebuilder:validation:XValidation:rule="has(self.masterName) || (!has(self.sentinelUsername) && !has(self.sentinelUsernameSecretRef) && !has(self.sentinelPasswordSecretRef))",message="the user name and the password of the Sentinels need redis.connection.masterName"
// +kubebuilder:validation:XValidation:rule="!has(self.username) || !has(self.usernameSecretRef)",message="set redis.connection.username or redis.connection.usernameSecretRef, not both"
// +kubebuilder:validation:XValidation:rule="!has(self.sentinelUsername) || !has(self.sentinelUsernameSecretRef)",message="set redis.connection.sentinelUsername or redis.connection.sentinelUsernameSecretRef, not both"
// +kubebuilder:validation:XValidation:rule="has(self.passwordSecretRef) || (!has(self.username) && !has(self.usernameSecretRef))",message="a user of Redis needs redis.connection.passwordSecretRef"
// +kubebuilder:validation:XValidation:rule="has(self.sentinelPasswordSecretRef) || (!has(self.sentinelUsername) && !has(self.sentinelUsernameSecretRef))",message="a user of the Sentinels needs redis.connection.sentinelPasswordSecretRef"
type RedisConnection struct {
	// The host names or IP addresses of one server, of the Sentinels, or of some nodes of
	// the Cluster.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Hosts []Host `json:"hosts"`
	// The port of every host. The default is 6379, or 26379 if masterName is set.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`
	// The name of the master that the Sentinels watch, such as mymaster. If set, hosts
	// are the Sentinels.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	MasterName string `json:"masterName,omitempty"`
	// Whether hosts are nodes of a Redis Cluster.
	// +optional
	Cluster bool `json:"cluster,omitempty"`
	// The number of the database. A Cluster has only database 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65536
	Database int32 `json:"database,omitempty"`

	Credentials `json:",inline"`

	// The user name for the Sentinels, if they require one.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	SentinelUsername string `json:"sentinelUsername,omitempty"`
	// The key of a Secret that holds the user name for the Sentinels.
	// +optional
	SentinelUsernameSecretRef *UsernameRef `json:"sentinelUsernameSecretRef,omitempty"`
	// The key of a Secret that holds the password for the Sentinels, if they require one.
	// +optional
	SentinelPasswordSecretRef *PasswordRef `json:"sentinelPasswordSecretRef,omitempty"`
}

// Credentials are the user and the certificates of a connection. Each part may be in
// another Secret, and under any key.
type Credentials struct {
	// The user name, if no Secret holds it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Username string `json:"username,omitempty"`
	// The key of a Secret that holds the user name.
	// +optional
	UsernameSecretRef *UsernameRef `json:"usernameSecretRef,omitempty"`
	// The key of a Secret that holds the password.
	// +optional
	PasswordSecretRef *PasswordRef `json:"passwordSecretRef,omitempty"`
	// Whether the connections use TLS. caSecretRef and clientCertificateSecretRef imply
	// it.
	// +optional
	TLS bool `json:"tls,omitempty"`
	// The key of a Secret that holds the certificates that verify the servers, in PEM.
	// Without it, the certificates in the image verify them.
	// +optional
	CASecretRef *CARef `json:"caSecretRef,omitempty"`
	// The Secret with the certificate with which the node identifies itself, and with its
	// private key, in PEM. cert-manager makes such Secrets.
	// +optional
	ClientCertificateSecretRef *ClientCertificateRef `json:"clientCertificateSecretRef,omitempty"`
}

// Host is a host name or an IP address.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:XValidation:rule="isIP(self) || self.matches('^[A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')",message="must be a host name such as mysql.databases.svc or an IP address, without a port; set the port in the field port"
type Host string

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

// BackupSpec sets when the operator backs up an evaluation database and the heartbeat keys.
// A CronJob writes each backup as one file, NAMESPACE.NAME-TIME.tar.gz.age, which is
// encrypted with age. `kubectl downstream restore` restores it.
//
// +kubebuilder:validation:XValidation:rule="!has(self.claimName) || !has(self.storage)",message="set backup.storage (the operator makes a claim) or backup.claimName (an existing claim), not both"
type BackupSpec struct {
	// When to back up, in UTC, in the form of cron: minute, hour, day of the month, month,
	// day of the week. A restore loses what happened after the backup, so back up often.
	// +optional
	// +kubebuilder:validation:MaxLength=100
	// +kubebuilder:validation:Pattern=`^(@(hourly|daily|midnight|weekly|monthly|yearly|annually)|[-0-9A-Za-z*/,?]+( [-0-9A-Za-z*/,?]+){4})$`
	// +kubebuilder:default="7 * * * *"
	Schedule string `json:"schedule,omitempty"`
	// The public keys of age (age1...) that can decrypt the backups; `age-keygen` makes
	// them. Keep the private keys outside of the cluster. There is no backup without a
	// recipient, because a backup contains the heartbeat keys.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Recipients []AgeRecipient `json:"recipients"`
	// The number of backups to keep. The oldest one is deleted after a new one is complete.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	// +kubebuilder:default=48
	Keep int32 `json:"keep,omitempty"`
	// The volume claim that the operator makes for the backups, NAME-backup, with 1Gi by
	// default. It stays when the DownstreamNode is deleted. The operator does not resize it.
	// +optional
	Storage *Storage `json:"storage,omitempty"`
	// An existing volume claim for the backups. Several nodes can share one.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	ClaimName string `json:"claimName,omitempty"`
}

// AgeRecipient is a public key of age.
//
// +kubebuilder:validation:MaxLength=2500
// +kubebuilder:validation:XValidation:rule="self.matches('^age1(pq1)?[02-9ac-hj-np-z]{58,}$')",message="must be a public key of age such as age1..., which `age-keygen -y` prints; keys of plugins and of SSH are not supported"
type AgeRecipient string

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
