package controllers_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/internal/app"
	nodeconfig "github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/redisdb"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/internal/testenv"
)

// configOf returns the configuration that the pods of a Deployment read. It makes the
// files of their volume, as a kubelet does.
func (f *farm) configOf(name string) app.Config {
	f.t.Helper()
	template := f.deployment(name).Spec.Template.Spec
	root := f.t.TempDir()
	for _, source := range template.Volumes[0].Projected.Sources {
		items, data := []corev1.KeyToPath(nil), map[string][]byte{}
		if source.Secret != nil {
			secret := &corev1.Secret{}
			f.get(secret, source.Secret.Name)
			items, data = source.Secret.Items, secret.Data
		} else {
			configMap := &corev1.ConfigMap{}
			f.get(configMap, source.ConfigMap.Name)
			items = source.ConfigMap.Items
			for key, text := range configMap.Data {
				data[key] = []byte(strings.ReplaceAll(text, template.Containers[0].VolumeMounts[0].MountPath, root))
			}
		}
		for _, item := range items {
			content, ok := data[item.Key]
			if !ok {
				f.t.Fatalf("a kubelet does not start the pod: there is no key %s", item.Key)
			}
			path := filepath.Join(root, item.Path)
			f.ok(os.MkdirAll(filepath.Dir(path), 0o700))
			f.ok(os.WriteFile(path, content, 0o600))
		}
	}
	c, err := nodeconfig.Load(app.Default(), filepath.Join(root, "config.yaml"), nil)
	f.ok(err)
	return c
}

// secret creates a Secret with a type and a layout that another operator gives it.
func (f *farm) secret(name string, kind corev1.SecretType, data map[string]string) {
	f.t.Helper()
	f.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Type: kind, StringData: data})
}

// TestSecretsOfOtherOperators runs nodes with the Secrets of other operators, unchanged.
func TestSecretsOfOtherOperators(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	testenv.WriteCertificate(t, certFile, keyFile, 1)
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	cert, key := read(certFile), read(keyFile)
	tests := []struct {
		name         string
		secrets      func(*farm)
		mysql, redis string         // spec.mysql.connection and spec.redis.connection
		database     store.Config   // what the pods read; the files hold their contents here
		queue        redisdb.Config // the same
	}{
		{
			"CloudNativePG", // and the operators that copy its layout
			func(f *farm) {
				f.secret("cluster-app", corev1.SecretTypeBasicAuth, map[string]string{
					"username": "app", "user": "app", "password": "p:w@/1", "host": "cluster-rw", "port": "3306", "dbname": "app",
					"uri": "mysql://app:p%3Aw%40%2F1@cluster-rw:3306/app", "pgpass": "cluster-rw:3306:app:app:p:w@/1",
				})
				f.secret("cluster-ca", corev1.SecretTypeOpaque, map[string]string{"ca.crt": cert, "ca.key": key})
			},
			`{hosts: [cluster-rw], database: app, usernameSecretRef: {name: cluster-app}, passwordSecretRef: {name: cluster-app}, caSecretRef: {name: cluster-ca}}`,
			`{hosts: [redis], usernameSecretRef: {name: cluster-app}, passwordSecretRef: {name: cluster-app}}`,
			store.Config{Addrs: []string{"cluster-rw:3306"}, Name: "app", Username: "app", Password: "p:w@/1", ClientTLS: nodeconfig.ClientTLS{CAFile: cert}},
			redisdb.Config{Addrs: []string{"redis:6379"}, Username: "app", Password: "p:w@/1"},
		},
		{
			"external-secrets", // the keys are those of the store that it reads
			func(f *farm) {
				f.secret("farm-db", corev1.SecretTypeOpaque, map[string]string{"DB_USER": "farm", "DB_PASS": "one"})
				f.secret("farm-cache", corev1.SecretTypeOpaque, map[string]string{"value": "two", "sentinel.auth": "three"})
			},
			`{hosts: [db.example.org], port: 3307, database: farm, tls: true, usernameSecretRef: {name: farm-db, key: DB_USER}, passwordSecretRef: {name: farm-db, key: DB_PASS}}`,
			`{hosts: [sentinel-0, sentinel-1], masterName: mymaster, database: 2, passwordSecretRef: {name: farm-cache, key: value}, sentinelPasswordSecretRef: {name: farm-cache, key: sentinel.auth}}`,
			store.Config{Addrs: []string{"db.example.org:3307"}, Name: "farm", Username: "farm", Password: "one", ClientTLS: nodeconfig.ClientTLS{TLS: true}},
			redisdb.Config{Addrs: []string{"sentinel-0:26379", "sentinel-1:26379"}, MasterName: "mymaster", DB: 2, Password: "two", SentinelPassword: "three"},
		},
		{
			"service binding",
			func(f *farm) {
				f.secret("binding", "servicebinding.io/mysql", map[string]string{
					"type": "mysql", "provider": "example", "host": "10.0.0.7", "port": "3306", "database": "farm", "username": "u", "password": "p",
				})
				f.secret("cache", "servicebinding.io/redis", map[string]string{"type": "redis", "host": "fd00::7", "port": "6380", "username": "r", "password": "q"})
			},
			`{hosts: [10.0.0.7], database: farm, usernameSecretRef: {name: binding}, passwordSecretRef: {name: binding}}`,
			`{hosts: ['fd00::7'], port: 6380, usernameSecretRef: {name: cache}, passwordSecretRef: {name: cache}}`,
			store.Config{Addrs: []string{"10.0.0.7:3306"}, Name: "farm", Username: "u", Password: "p"},
			redisdb.Config{Addrs: []string{"[fd00::7]:6380"}, Username: "r", Password: "q"},
		},
		{
			"mariadb-operator and a Redis Cluster", // no Secret has the user name
			func(f *farm) {
				f.secret("mariadb-farm", corev1.SecretTypeOpaque, map[string]string{"password": "p"})
				f.secret("mariadb-galera-ca-bundle", corev1.SecretTypeOpaque, map[string]string{"ca.crt": cert})
				f.secret("farm-client-cert", corev1.SecretTypeTLS, map[string]string{"tls.crt": cert, "tls.key": key})
				f.secret("redis-cluster", corev1.SecretTypeOpaque, map[string]string{"redis-password": "q"})
			},
			`{hosts: [galera-0.galera-internal, galera-1.galera-internal], database: farm, username: farm, passwordSecretRef: {name: mariadb-farm},
			   caSecretRef: {name: mariadb-galera-ca-bundle}, clientCertificateSecretRef: {name: farm-client-cert}}`,
			`{hosts: [redis-0, redis-1, redis-2], cluster: true, passwordSecretRef: {name: redis-cluster, key: redis-password}}`,
			store.Config{
				Addrs: []string{"galera-0.galera-internal:3306", "galera-1.galera-internal:3306"}, Name: "farm", Username: "farm", Password: "p",
				ClientTLS: nodeconfig.ClientTLS{CAFile: cert, CertFile: cert, KeyFile: key},
			},
			redisdb.Config{Addrs: []string{"redis-0:6379", "redis-1:6379", "redis-2:6379"}, Cluster: true, Password: "q"},
		},
		{
			"Percona XtraDB Cluster and a Redis with certificates", // the keys are the user names
			func(f *farm) {
				f.secret("cluster1-secrets", corev1.SecretTypeOpaque, map[string]string{"root": "r", "monitor": "m", "farm": "p"})
				f.secret("cluster1-ssl", corev1.SecretTypeTLS, map[string]string{"ca.crt": cert, "tls.crt": cert, "tls.key": key})
			},
			`{hosts: [cluster1-haproxy], database: farm, username: farm, passwordSecretRef: {name: cluster1-secrets, key: farm}, caSecretRef: {name: cluster1-ssl}}`,
			`{hosts: [redis], caSecretRef: {name: cluster1-ssl}, clientCertificateSecretRef: {name: cluster1-ssl}}`,
			store.Config{Addrs: []string{"cluster1-haproxy:3306"}, Name: "farm", Username: "farm", Password: "p", ClientTLS: nodeconfig.ClientTLS{CAFile: cert}},
			redisdb.Config{Addrs: []string{"redis:6379"}, ClientTLS: nodeconfig.ClientTLS{CAFile: cert, CertFile: cert, KeyFile: key}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := emptyFarm(t)
			tt.secrets(f)
			f.createNode("mysql: {dsnSecretRef: null, connection: " + tt.mysql + "}\nredis: {urlSecretRef: null, connection: " + tt.redis + "}")
			f.bringUp()
			for _, name := range []string{"node-api", "node-workers"} {
				c := f.configOf(name)
				if got := databaseOf(t, c.Database); !reflect.DeepEqual(got, tt.database) {
					t.Errorf("%s: the database is\n%+v\nwant\n%+v", name, got, tt.database)
				}
				if got := redisOf(t, c.Redis.Server); !reflect.DeepEqual(got, tt.queue) {
					t.Errorf("%s: the Redis is\n%+v\nwant\n%+v", name, got, tt.queue)
				}
				if err := c.Replicable(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			// The operator reads the backlog from the same Redis, without files.
			want := tt.queue
			secure := want.CAFile != "" || want.TLS
			want.ClientTLS = nodeconfig.ClientTLS{}
			if !reflect.DeepEqual(f.redis.Config, want) || f.redis.Namespace != f.namespace+".node" || (f.redis.Secure != nil) != secure {
				t.Errorf("the operator reads the backlog with %+v", f.redis)
			}
			if s := f.redis.Secure; secure && (s.RootCAs == nil || len(s.Certificates) != 1) {
				t.Errorf("the operator's certificates are %+v", s)
			}
		})
	}
}

// databaseOf returns the connection that a configuration describes, with the contents of
// its files in place of their paths.
func databaseOf(t *testing.T, c store.Config) store.Config {
	t.Helper()
	return store.Config{Addrs: c.Addrs, Name: c.Name, Username: c.Username, Password: c.Password, ClientTLS: contentsOf(t, c.ClientTLS)}
}

func redisOf(t *testing.T, c redisdb.Config) redisdb.Config {
	t.Helper()
	c.ClientTLS = contentsOf(t, c.ClientTLS)
	c.UsernameFile, c.PasswordFile, c.SentinelUsernameFile, c.SentinelPasswordFile = "", "", "", ""
	return c
}

func contentsOf(t *testing.T, c nodeconfig.ClientTLS) nodeconfig.ClientTLS {
	t.Helper()
	for _, path := range []*string{&c.CAFile, &c.CertFile, &c.KeyFile} {
		if *path != "" {
			text, err := os.ReadFile(*path)
			testenv.Must(t, err)
			*path = string(text)
		}
	}
	return c
}

// TestChangedCredentials checks that a changed password migrates again and replaces the
// pods, as a changed data source name does, and that a missing key is named.
func TestChangedCredentials(t *testing.T) {
	t.Parallel()
	f := emptyFarm(t)
	f.secret("app", corev1.SecretTypeBasicAuth, map[string]string{"username": "u", "password": "one"})
	f.createNode(`
mysql: {dsnSecretRef: null, connection: {hosts: [mysql], database: d, usernameSecretRef: {name: app}, passwordSecretRef: {name: app, key: secret}}}
redis: {urlSecretRef: null, connection: {hosts: [redis]}}`)
	f.settle()
	f.wantCondition("Degraded", "True", "SecretMissing")
	f.wantMessage("Degraded", "The Secret app has no value under the key secret; add it")
	f.edit(func(s *v1.DownstreamNodeSpec) { s.MySQL.Connection.PasswordSecretRef.Key = "password" })
	f.bringUp()
	migration := f.jobOf("migration").Name
	hash := func() string {
		return f.deployment("node-api").Spec.Template.Annotations["downstream.driveshare.org/config-hash"]
	}
	before := hash()
	f.ok(f.Patch(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "app"}},
		client.RawPatch("application/merge-patch+json", []byte(`{"stringData":{"password":"two"}}`))))
	f.settle()
	if f.jobOf("migration").Name == migration {
		t.Error("the database is not migrated with the new password")
	}
	f.finish(f.jobOf("migration"), true)
	f.settle()
	if hash() == before {
		t.Error("the pods keep the old password")
	}
	if got := f.configOf("node-api").Database.Password; got != "two" {
		t.Errorf("the password is %q", string(got))
	}
}

// TestStuckJobIsMadeAgain corrects what keeps the pod of a migration from running. A pod that
// runs is not interrupted.
func TestStuckJobIsMadeAgain(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.settle()
	secrets := func() (names []string) {
		for _, s := range f.jobOf("migration").Spec.Template.Spec.ImagePullSecrets {
			names = append(names, s.Name)
		}
		return names
	}
	job := f.jobOf("migration")
	f.start(job)
	f.edit(func(s *v1.DownstreamNodeSpec) { s.ImagePullSecrets = []v1.ObjectReference{{Name: "registry"}} })
	f.settle()
	if now := f.jobOf("migration"); now.UID != job.UID {
		t.Fatal("the Job was deleted while its pod ran")
	}
	f.wantMessage("SchemaMigrated", "because its pod is running")
	f.finish(f.jobOf("migration"), false)
	f.settle()
	if now := f.jobOf("migration"); now.UID == job.UID || now.Name != job.Name || !slices.Equal(secrets(), []string{"registry"}) {
		t.Errorf("the Job %s has the pull secrets %q", now.Name, secrets())
	}
	f.finish(f.jobOf("migration"), true)
	done := f.jobOf("migration").UID
	f.edit(func(s *v1.DownstreamNodeSpec) { s.ImagePullSecrets = nil })
	f.settle()
	if f.jobOf("migration").UID != done {
		t.Error("the migration ran again")
	}
}
