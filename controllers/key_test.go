package controllers_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
)

// key returns the Secret with the node's key, and the key's fingerprint.
func (f *farm) key() (*corev1.Secret, string) {
	f.t.Helper()
	secret := &corev1.Secret{}
	f.get(secret, "node-heartbeat-key")
	hb, err := schemes.ParseFile(secret.Data["heartbeat.json"])
	f.ok(err)
	return secret, schemes.Fingerprint(hb)
}

// newKeyFile makes a key and returns its file.
func newKeyFile(t *testing.T, scheme heartbeat.Type) []byte {
	t.Helper()
	hb, err := schemes.New(scheme, nil)
	if err != nil {
		t.Fatal(err)
	}
	return schemes.MarshalFile(hb)
}

// copyOf returns a new Secret with the same data, as if restored from a backup.
func copyOf(secret *corev1.Secret) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: secret.Name}, Data: secret.Data}
}

func TestKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "heartbeat: {type: Swizzle}")
	f.settle()
	secret, fingerprint := f.key()
	if secret.Immutable == nil || !*secret.Immutable {
		t.Error("the Secret can be changed")
	}
	status := f.node().Status.HeartbeatKey
	if status.Fingerprint != fingerprint || status.SecretName != secret.Name {
		t.Errorf("the status has %+v, want %s", status, fingerprint)
	}
	if sent := strings.Join(f.events(), "\n"); strings.Count(sent, "HeartbeatKeyMade") != 1 {
		t.Errorf("the events are\n%s", sent)
	}
	f.bringUp()
	if again, _ := f.key(); again.UID != secret.UID {
		t.Error("another key was made")
	}
}

func TestKeyDeleted(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	secret, _ := f.key()
	pods := f.deployment("node-api").ResourceVersion
	f.ok(f.Delete(t.Context(), secret))
	f.settle()
	f.wantCondition("HeartbeatKeyAvailable", "False", "KeyMissing")
	f.wantCondition("Degraded", "True", "KeyMissing")
	f.wantCondition("Ready", "False", "KeyMissing")
	if f.find(&corev1.Secret{}, secret.Name) {
		t.Fatal("another key was made")
	}
	if f.deployment("node-api").ResourceVersion != pods {
		t.Error("the API was changed, although it has the key")
	}
	f.create(copyOf(secret))
	f.settle()
	f.wantCondition("Available", "True", "FarmersCanFarm")
}

func TestKeyChanged(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	secret, _ := f.key()
	f.ok(f.Delete(t.Context(), secret))
	for reason, file := range map[string][]byte{
		"KeyChanged": newKeyFile(t, heartbeat.Merkle),
		"KeyInvalid": []byte("not a key"),
	} {
		changed := copyOf(secret)
		changed.Data = map[string][]byte{"heartbeat.json": file}
		f.create(changed)
		f.settle()
		f.wantCondition("HeartbeatKeyAvailable", "False", reason)
		f.wantCondition("Ready", "False", reason)
		f.ok(f.Delete(t.Context(), changed))
	}
	f.create(copyOf(secret))
	f.settle()
	f.wantCondition("Available", "True", "FarmersCanFarm")
}

// TestDatabaseOfAnotherNode migrates a database that another node owns. The status must
// name both nodes, and must not send the reader to that node's key.
func TestDatabaseOfAnotherNode(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.settle()
	job := f.jobOf("migration")
	if env := job.Spec.Template.Spec.Containers[0].Env; len(env) != 1 || env[0].Value != string(f.node().UID) {
		t.Errorf("the migration has the variables %v, want the UID of the node", env)
	}
	const refusal = "the database has another owner: it belongs to a.node (1), not to b.node (2)"
	f.attempt(job, refusal)
	f.finishFor(f.jobOf("migration"), false, batchv1.JobReasonPodFailurePolicy, "Container migration for pod a/b failed with exit code 4 matching FailJob rule at index 0")
	f.settle()
	f.wantCondition("Degraded", "True", "MigrationFailed")
	f.wantMessage("Degraded", refusal)
	f.wantCondition("HeartbeatKeyAvailable", "True", "KeyFound")
}

// TestKeyRestoredLate creates a node before the backup of its key is restored. The
// database has the key in the backup.
func TestKeyRestoredLate(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.settle()
	made, _ := f.key()
	wrong := f.jobOf("migration")
	f.finishFor(wrong, false, batchv1.JobReasonPodFailurePolicy, "Container migration failed with exit code 3 matching FailJob rule at index 0")
	f.settle()
	f.wantCondition("HeartbeatKeyAvailable", "False", "KeyChanged")
	f.wantCondition("Ready", "False", "MigrationFailed")
	f.ok(f.Delete(t.Context(), made))
	f.settle()
	f.wantCondition("HeartbeatKeyAvailable", "False", "KeyMissing")
	if f.find(&corev1.Secret{}, made.Name) {
		t.Fatal("another key was made before the backup was restored")
	}
	backup := copyOf(made)
	backup.Data = map[string][]byte{"heartbeat.json": newKeyFile(t, heartbeat.Merkle)}
	f.create(backup)
	f.settle()
	if right := f.jobOf("migration"); right.Name == wrong.Name {
		t.Error("no migration checked the key of the backup")
	}
	f.bringUp()
	if _, fingerprint := f.key(); f.node().Status.HeartbeatKey.Fingerprint != fingerprint {
		t.Error("the key of the backup is not the node's")
	}
	f.wantCondition("Available", "True", "FarmersCanFarm")
}

func TestKeySuppliedByTheUser(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "heartbeat: {keySecretRef: {name: mine, key: k}}")
	f.settle()
	f.wantCondition("HeartbeatKeyAvailable", "False", "KeyMissing")
	f.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "mine"}, Data: map[string][]byte{"k": newKeyFile(t, heartbeat.Swizzle)}})
	f.settle()
	f.wantCondition("HeartbeatKeyAvailable", "False", "KeyInvalid") // the key has the wrong scheme
	f.ok(f.Update(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "mine"}, Data: map[string][]byte{"k": newKeyFile(t, heartbeat.Merkle)}}))
	f.bringUp()
	if f.find(&corev1.Secret{}, "node-heartbeat-key") {
		t.Error("the operator made a key")
	}
	// Without the reference, the spec means another Secret, which does not exist.
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Heartbeat.KeySecretRef = nil })
	f.settle()
	f.wantCondition("HeartbeatKeyAvailable", "False", "KeyMissing")
	if f.find(&corev1.Secret{}, "node-heartbeat-key") {
		t.Error("the operator made a second key")
	}
}

func TestKeyCreatedByAnotherClient(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	// Another client restores the key while the operator makes one.
	file := newKeyFile(t, heartbeat.Merkle)
	var once sync.Once
	f.operator = f.newOperator(interceptor.NewClient(f.WithWatch, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
			once.Do(func() {
				f.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "node-heartbeat-key"}, Data: map[string][]byte{"heartbeat.json": file}})
			})
			return c.Create(ctx, object, options...)
		},
	}))
	f.bringUp()
	secret, fingerprint := f.key()
	if string(secret.Data["heartbeat.json"]) != string(file) || f.node().Status.HeartbeatKey.Fingerprint != fingerprint {
		t.Error("the key that was there first is not the node's")
	}
}

// TestStaleCacheMakesNoKey deletes the Secret of a node's key. The operator's cache
// is stale: it does not show that the node had a key.
func TestStaleCacheMakesNoKey(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	old := f.node()
	f.bringUp()
	secret, _ := f.key()
	f.ok(f.Delete(t.Context(), secret))
	f.operator.Client = interceptor.NewClient(f.WithWatch, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			if node, ok := object.(*v1.DownstreamNode); ok {
				old.DeepCopyInto(node)
				return nil
			}
			return c.Get(ctx, key, object, options...)
		},
	})
	f.ok(f.reconcile())
	if f.find(&corev1.Secret{}, secret.Name) {
		t.Error("another key was made")
	}
	f.wantCondition("Available", "True", "FarmersCanFarm") // the operator did not write a status from the stale cache
}

func TestKeyStaysAfterTheNodeIsDeleted(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	secret, fingerprint := f.key()
	f.deleteNode()
	f.ok(f.reconcile())
	f.createNode("")
	f.settle()
	again, _ := f.key()
	if again.UID != secret.UID || f.node().Status.HeartbeatKey.Fingerprint != fingerprint {
		t.Error("the node that was made again has another key")
	}
}
