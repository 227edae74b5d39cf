package plugin

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/go-sql-driver/mysql"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers/desired"
	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
	"github.com/driveshare/downstream-node/internal/backup"
	"github.com/driveshare/downstream-node/internal/config"
	"github.com/driveshare/downstream-node/internal/store"
	"github.com/driveshare/downstream-node/internal/testenv"
)

// databasePod returns a runFunc that runs commands here, as if this machine were the pod of
// an evaluation database with the records at dsn.
func databasePod(t *testing.T, dsn string) runFunc {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	testenv.Must(t, err)
	_, port, err := net.SplitHostPort(cfg.Addr)
	testenv.Must(t, err)
	return func(ctx context.Context, at target, command []string, in io.Reader, out, _ io.Writer) error {
		if want := (target{"storage", "farm-mysql-0", "mysql"}); at != want {
			return fmt.Errorf("the command runs in %v, want %v", at, want)
		}
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Env = append(os.Environ(), "MYSQL_TCP_PORT="+port, "MYSQL_PWD="+cfg.Passwd,
			"MYSQL_USER="+cfg.User, "MYSQL_PASSWORD="+cfg.Passwd, "MYSQL_DATABASE="+cfg.DBName)
		var said bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &said
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%w: %s", err, said.String())
		}
		return nil
	}
}

func openStore(t *testing.T, dsn string) *store.Store {
	t.Helper()
	cfg := config.Default[store.Config]()
	cfg.Driver, cfg.DSN = store.MySQL, config.Secret(dsn)
	st, err := store.Open(cfg, slog.New(slog.DiscardHandler))
	testenv.Must(t, err)
	t.Cleanup(func() { st.Close() })
	return st
}

// backedUpNode is the spec in the backups of these tests.
func backedUpNode() *v1.DownstreamNode {
	node := &v1.DownstreamNode{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1.GroupVersion.String(), Kind: "DownstreamNode"},
		ObjectMeta: metav1.ObjectMeta{Name: "farm", Namespace: "storage"},
	}
	node.Spec.MySQL.Evaluation = &v1.MySQLEvaluation{Image: "mariadb", Storage: v1.Storage{Size: "1Gi"}}
	node.Spec.Redis.Evaluation = &v1.RedisEvaluation{}
	node.Spec.Backup = &v1.BackupSpec{Keep: 3}
	node.Spec.Paused, node.Spec.Hibernate = true, true
	return node
}

// saved is a backup in a file.
type saved struct {
	file, identity string
	key            []byte // the heartbeat key
}

// saveBackup dumps a database as the CronJob does, and encrypts it.
func saveBackup(t *testing.T, change func(*backup.Manifest)) saved {
	t.Helper()
	dir, dsn := t.TempDir(), testenv.NewDatabase(t)
	st := openStore(t, dsn)
	testenv.Must(t, st.Migrate(t.Context()))
	hb, err := schemes.New(heartbeat.Merkle, nil)
	testenv.Must(t, err)
	key, err := backup.NewKey("heartbeat.json", schemes.MarshalFile(hb))
	testenv.Must(t, err)
	_, err = st.RegisterKeys(t.Context(), []store.Key{{Fingerprint: key.Fingerprint, Type: key.Type}}, nil, time.Now())
	testenv.Must(t, err)
	testenv.Must(t, st.Claim(t.Context(), store.Owner{Name: "old.farm", UID: "uid"}))

	cfg, err := mysql.ParseDSN(dsn)
	testenv.Must(t, err)
	command := desired.Node{DownstreamNode: backedUpNode(), Inputs: desired.Inputs{Keys: []desired.Key{{File: key.File}}}}
	script := command.BackupCronJob().Spec.JobTemplate.Spec.Template.Spec.InitContainers[0].Command
	dump := filepath.Join(dir, "dump.sql")
	args := append(script[:len(script)-4:len(script)-4], "127.0.0.1", cfg.User, cfg.DBName, dump)
	testenv.Must(t, databasePod(t, dsn)(t.Context(), target{"storage", "farm-mysql-0", "mysql"}, args, nil, nil, nil))
	content, err := os.ReadFile(dump)
	testenv.Must(t, err)
	content = append(content, store.AfterRestore...)
	// A larger backup has several parts, of which the first ones can be read if the file is cut.
	random := make([]byte, 200_000)
	mathrand.NewChaCha8([32]byte{}).Read(random)
	content = append(content, "-- "+base64.StdEncoding.EncodeToString(random)+"\n"...)

	resource, err := json.Marshal(backedUpNode())
	testenv.Must(t, err)
	id, err := age.GenerateX25519Identity()
	testenv.Must(t, err)
	m := backup.Manifest{
		Node: "old.farm", Version: "v1", Schema: 14, Created: time.Now().UTC(), Keys: []backup.Key{key},
		DumpBytes: int64(len(content)), Resource: resource,
	}
	if change != nil {
		change(&m)
	}
	var file bytes.Buffer
	testenv.Must(t, backup.Write(&file, []age.Recipient{id.Recipient()}, m, bytes.NewReader(content)))
	s := saved{filepath.Join(dir, "backup.tar.gz.age"), filepath.Join(dir, "key.txt"), key.File}
	testenv.Must(t, os.WriteFile(s.file, file.Bytes(), 0o600))
	testenv.Must(t, os.WriteFile(s.identity, []byte(id.String()+"\n"), 0o600))
	return s
}

// restoreCluster returns a cluster with the pod of a database, and an operator that makes
// the node ready when the restore has ended.
func restoreCluster(t *testing.T, dsn string, objects ...client.Object) *cluster {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "farm-mysql-0", Namespace: "storage"},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
	c := newTestCluster(t, nil, append(objects, pod)...)
	c.run = databasePod(t, dsn)
	c.Client = interceptor.NewClient(c.Client.(client.WithWatch), interceptor.Funcs{
		Patch: func(ctx context.Context, inner client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
			err := inner.Patch(ctx, object, patch, options...)
			node, ok := object.(*v1.DownstreamNode)
			if err != nil || !ok || node.Annotations[v1.RestoreAnnotation] != "" {
				return err
			}
			live := node.DeepCopy()
			live.Status = readyNode().Status
			live.Status.ObservedGeneration = live.Generation
			return inner.Update(ctx, live)
		},
	})
	return c
}

func secretWith(key []byte) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "farm-heartbeat-key", Namespace: "storage"}, Data: map[string][]byte{"heartbeat.json": key}}
}

// TestRestoredNodeStarts checks that a restored node starts, whatever its manifest says.
func TestRestoredNodeStarts(t *testing.T) {
	t.Parallel()
	manifest := filepath.Join(t.TempDir(), "node.yaml")
	text, err := json.Marshal(backedUpNode())
	testenv.Must(t, err)
	testenv.Must(t, os.WriteFile(manifest, text, 0o600))
	for name, tt := range map[string]struct {
		b        backup.Reader
		manifest string
	}{
		"of the backup": {b: backup.Reader{Manifest: backup.Manifest{Resource: text}}},
		"of a file":     {manifest: manifest},
	} {
		node, err := restoredNode("farm", "storage", &tt.b, tt.manifest)
		testenv.Must(t, err)
		if node.Spec.Paused || node.Spec.Hibernate {
			t.Errorf("%s: paused is %t, hibernate %t", name, node.Spec.Paused, node.Spec.Hibernate)
		}
	}
}

// annotated returns the node of an earlier restore.
func annotated(state string) *v1.DownstreamNode {
	node := backedUpNode()
	node.UID = "uid"
	node.Annotations = map[string]string{v1.RestoreAnnotation: state}
	return node
}

func TestRestore(t *testing.T) {
	t.Parallel()
	s := saveBackup(t, nil)
	for name, tt := range map[string]struct {
		objects []client.Object
		sql     string // what the database contains before
	}{
		"into an empty namespace":              {},
		"the Secret with the key exists":       {objects: []client.Object{secretWith(s.key)}},
		"again, before the database started":   {objects: []client.Object{secretWith(s.key), annotated(restoreWaiting)}},
		"again, after a part of the dump":      {[]client.Object{secretWith(s.key), annotated(restoreLoading)}, "CREATE TABLE tokens (id INT PRIMARY KEY)"},
		"again, with a table of a later table": {[]client.Object{secretWith(s.key), annotated(restoreLoading)}, "CREATE TABLE later_table (id INT PRIMARY KEY)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := testenv.NewDatabase(t)
			c := restoreCluster(t, dsn, tt.objects...)
			at := target{"storage", "farm-mysql-0", "mysql"}
			testenv.Must(t, c.run(t.Context(), at, desired.MySQLClient(), strings.NewReader(tt.sql), nil, nil))
			var out strings.Builder
			err := c.restore(t.Context(), &out, "farm", restoreOptions{from: s.file, identity: s.identity, wait: time.Second})
			if err != nil || !strings.Contains(out.String(), "farm is ready; farmers continue with the contracts of the backup\n") {
				t.Fatalf("%v, prints\n%s", err, &out)
			}
			node, err := c.node(t.Context(), "farm")
			testenv.Must(t, err)
			if _, ok := node.Annotations[v1.RestoreAnnotation]; ok || node.Spec.Backup == nil || tt.objects == nil && (node.Spec.Paused || node.Spec.Hibernate) {
				t.Errorf("the node is %+v", node)
			}
			secret := &corev1.Secret{}
			testenv.Must(t, c.Get(t.Context(), client.ObjectKey{Namespace: "storage", Name: "farm-heartbeat-key"}, secret))
			if !bytes.Equal(secret.Data["heartbeat.json"], s.key) {
				t.Error("the Secret has another key")
			}
			found, err := openStore(t, dsn).Survey(t.Context())
			testenv.Must(t, err)
			if found.Have != found.Want || len(found.Keys) != 1 || found.Owner.Name != "" {
				t.Errorf("the database has %+v", found)
			}
			tables, err := c.tables(t.Context(), at)
			if err != nil || strings.Contains(strings.Join(tables, " "), "later_table") {
				t.Errorf("the tables are %v, %v", tables, err)
			}
		})
	}
}

func TestRestoreIsRefused(t *testing.T) {
	t.Parallel()
	s, later := saveBackup(t, nil), saveBackup(t, func(m *backup.Manifest) { m.Schema = 999 })
	content, err := os.ReadFile(s.file)
	testenv.Must(t, err)
	cut := filepath.Join(t.TempDir(), "cut.age")
	testenv.Must(t, os.WriteFile(cut, content[:len(content)-100], 0o600))
	external := filepath.Join(t.TempDir(), "external.yaml")
	testenv.Must(t, os.WriteFile(external, []byte("apiVersion: downstream.driveshare.org/v1\nkind: DownstreamNode\nmetadata: {name: farm}\nspec: {mysql: {dsnSecretRef: {name: a}}, redis: {evaluation: {}}}\n"), 0o600))
	unannotated := annotated("")
	used := annotated(restoreWaiting)
	used.Status.Migration = "farm-migration-1"
	for name, tt := range map[string]struct {
		opt     restoreOptions
		objects []client.Object
		sql     string
		says    string
	}{
		"another identity":   {opt: restoreOptions{from: s.file, identity: later.identity}, says: "the identity does not open this backup"},
		"a truncated file":   {opt: restoreOptions{from: cut, identity: s.identity}, says: "the backup is truncated or damaged"},
		"newer tables":       {opt: restoreOptions{from: later.file, identity: later.identity}, says: "the tables of the backup have version 999"},
		"an external one":    {opt: restoreOptions{from: s.file, identity: s.identity, manifest: external}, says: "has no mysql.evaluation"},
		"another key":        {opt: restoreOptions{from: s.file, identity: s.identity}, objects: []client.Object{secretWith([]byte("other"))}, says: "has another heartbeat key than the backup"},
		"a node that exists": {opt: restoreOptions{from: s.file, identity: s.identity}, objects: []client.Object{unannotated}, says: "exists in storage: delete it"},
		"a node in use":      {opt: restoreOptions{from: s.file, identity: s.identity}, objects: []client.Object{used}, says: "uses its database already"},
		"a database in use":  {opt: restoreOptions{from: s.file, identity: s.identity}, sql: "CREATE TABLE other (id INT PRIMARY KEY)", says: "is not empty (it has the table other and 0 others)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := restoreCluster(t, testenv.NewDatabase(t), tt.objects...)
			at := target{"storage", "farm-mysql-0", "mysql"}
			testenv.Must(t, c.run(t.Context(), at, desired.MySQLClient(), strings.NewReader(tt.sql), nil, nil))
			err := c.restore(t.Context(), io.Discard, "farm", tt.opt)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("%v, want %q", err, tt.says)
			}
			tables, err := c.tables(t.Context(), at)
			if err != nil || len(tables) > strings.Count(tt.sql, "CREATE") {
				t.Errorf("the refused restore made tables: %v, %v", tables, err)
			}
			node, err := c.node(t.Context(), "farm")
			if made := err == nil && len(tt.objects) == 0; made && node.Annotations[v1.RestoreAnnotation] != restoreWaiting {
				t.Errorf("the node would start: %+v", node)
			} else if made && tt.sql == "" {
				t.Error("the refused restore made a node")
			}
		})
	}
}

// TestRestoreEndsEarly checks what a person reads if the database or the node does not start.
func TestRestoreEndsEarly(t *testing.T) {
	t.Parallel()
	s := saveBackup(t, nil)
	opt := restoreOptions{from: s.file, identity: s.identity}
	c := newTestCluster(t, nil)
	if err := c.restore(t.Context(), io.Discard, "farm", opt); err == nil || !strings.Contains(err.Error(), "the pod farm-mysql-0 of the database did not start") {
		t.Errorf("no database: %v", err)
	}
	c = restoreCluster(t, testenv.NewDatabase(t))
	inner := c.run
	c.run = func(ctx context.Context, at target, command []string, in io.Reader, out, _ io.Writer) error {
		if out == nil {
			_, _ = io.CopyN(io.Discard, in, 1000)
			return errors.New("the connection ended")
		}
		return inner(ctx, at, command, in, out, nil)
	}
	if err := c.restore(t.Context(), io.Discard, "farm", opt); err == nil || !strings.Contains(err.Error(), "load the dump: the connection ended; run this command again") {
		t.Errorf("the connection ended: %v", err)
	}
	node, err := c.node(t.Context(), "farm")
	if err != nil || node.Annotations[v1.RestoreAnnotation] != restoreLoading {
		t.Errorf("the node would start on a part of the dump: %+v, %v", node, err)
	}
}
