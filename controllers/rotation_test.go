package controllers_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers"
	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
)

// rotate sets spec.heartbeat.rotation and lets the operator act.
func (f *farm) rotate(rotation int32) {
	f.t.Helper()
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Heartbeat.Rotation = rotation })
	f.settle()
}

// keyIn returns a Secret, and the key in it.
func (f *farm) keyIn(name string) (*corev1.Secret, heartbeat.Heartbeat) {
	f.t.Helper()
	secret := &corev1.Secret{}
	f.get(secret, name)
	hb, err := schemes.ParseFile(secret.Data["heartbeat.json"])
	f.ok(err)
	return secret, hb
}

// mounted returns the Secrets with a key that the pods of both Deployments read, and the
// lines of the workers' configuration that follow "keyFiles:".
func (f *farm) mounted() (names []string, config string) {
	f.t.Helper()
	var of [2][]string
	for i, name := range []string{"node-api", "node-workers"} {
		for _, source := range f.deployment(name).Spec.Template.Spec.Volumes[0].Projected.Sources {
			if source.Secret != nil && source.Secret.Items[0].Path[:9] == "heartbeat" {
				of[i] = append(of[i], source.Secret.Name)
			}
			if source.ConfigMap != nil {
				configMap := &corev1.ConfigMap{}
				f.get(configMap, source.ConfigMap.Name)
				_, config, _ = strings.Cut(configMap.Data["config.yaml"], "keyFiles:")
			}
		}
	}
	if !slices.Equal(of[0], of[1]) {
		f.t.Errorf("the API reads %v, the workers read %v", of[0], of[1])
	}
	return of[0], config
}

func (f *farm) wantMounted(want ...string) {
	f.t.Helper()
	if got, _ := f.mounted(); !slices.Equal(got, want) {
		f.t.Errorf("the pods read the keys of %v, want %v", got, want)
	}
}

// report lets the node report the states of its keys, the newest first, and the operator
// read them.
func (f *farm) report(states ...string) {
	f.t.Helper()
	f.keys = nil
	for i, state := range states {
		f.keys = append(f.keys, controllers.Key{Fingerprint: f.node().Status.HeartbeatKeys[i].Fingerprint, State: state, Contracts: new(int64(120 * i))})
	}
	f.clock = f.clock.Add(30 * time.Second)
	f.settle()
}

const (
	firstKey  = "node-heartbeat-key"
	secondKey = "node-heartbeat-key-2"
	thirdKey  = "node-heartbeat-key-3"
)

// rotatedFarm returns a node whose key was replaced once.
func rotatedFarm(t *testing.T, spec string) *farm {
	t.Helper()
	f := newFarm(t, spec)
	f.bringUp()
	f.rotate(1)
	f.run("node-api")
	f.run("node-workers")
	f.settle()
	return f
}

// TestRotation replaces a key, from the new Secret to the deletion of the old one.
func TestRotation(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "heartbeat: {type: Swizzle, checkFraction: '0.5'}\nwhitelist: {configMapRef: {name: list}}")
	f.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "list"}, Data: map[string]string{"whitelist.csv": "address,crowdsale_balance\n"}})
	f.settle()
	f.finish(f.jobOf("migration"), true)
	f.settle()
	f.finish(f.jobOf("whitelist"), true)
	f.settle()
	f.run("node-api")
	f.run("node-workers")
	f.settle()
	f.events()
	before := f.deployment("node-api").Generation
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Heartbeat.Rotation = 1 })

	f.ok(f.reconcile())
	made, renewed := f.keyIn(secondKey)
	if f.deployment("node-api").Generation != before {
		t.Error("pods get the key in the reconcile that made it")
	}
	fingerprint := schemes.Fingerprint(renewed)
	if got := f.node().Status.HeartbeatKey; got.Fingerprint != fingerprint || got.SecretName != secondKey {
		t.Errorf("the status has %+v after the reconcile that made the key", got)
	}
	f.settle()
	for _, job := range []string{"migration", "whitelist"} {
		if f.jobOfOrNil(job) != nil {
			t.Errorf("a %s Job runs again", job)
		}
	}
	f.wantMounted(secondKey, firstKey)
	if _, config := f.mounted(); !strings.HasPrefix(config, "\n  - /etc/downstream/heartbeat/heartbeat-2.json\n  - /etc/downstream/heartbeat/heartbeat.json\n  type") {
		t.Errorf("the configuration lists the keys %s", config)
	}
	_, first := f.keyIn(firstKey)
	if !bytes.Equal(first.Public(), renewed.Public()) || bytes.Equal(first.Private(), renewed.Private()) {
		t.Error("the new key does not have other secrets and the same public part")
	}
	if !bytes.Contains(made.Data["heartbeat.json"], []byte(`"check_fraction":0.5`)) {
		t.Error("the new key has another check fraction")
	}
	if made.Immutable == nil || !*made.Immutable || len(made.OwnerReferences) > 0 {
		t.Error("the Secret can be changed, or is deleted with the node")
	}
	if sent := strings.Join(f.events(), "\n"); strings.Count(sent, "HeartbeatKeyMade Made a heartbeat key in the Secret "+secondKey) != 1 {
		t.Errorf("the events are\n%s", sent)
	}
	f.wantMessage("HeartbeatKeyAvailable", "The key is in the Secret "+secondKey, "has not reported the state of the key "+schemes.Fingerprint(first)[:12]+", so keep the Secret "+firstKey)

	f.run("node-api")
	f.run("node-workers")
	f.report("new", "active")
	f.wantMessage("HeartbeatKeyAvailable", "The node needs the key "+schemes.Fingerprint(first)[:12]+" in the Secret node-heartbeat-key until all pods have the newer key.")
	f.report("active", "retiring")
	f.wantMessage("HeartbeatKeyAvailable", "contracts that still need it: 120.")
	f.report("active", "retired")
	f.wantMessage("HeartbeatKeyAvailable", "The Secret node-heartbeat-key can be deleted: nothing needs its key "+schemes.Fingerprint(first)[:12]+".")
	old := f.node().Status.HeartbeatKeys[1]
	if old.State != "retired" || *old.Contracts != 120 || old.Rotation != 0 || old.SecretName != firstKey || old.Fingerprint != schemes.Fingerprint(first) {
		t.Errorf("the status of the old key is %+v", old)
	}

	secret, _ := f.keyIn(firstKey)
	f.ok(f.Delete(t.Context(), secret))
	f.keys = nil // no API replica responds
	f.clock = f.clock.Add(30 * time.Second)
	f.settle()
	f.wantMounted(secondKey)
	f.wantCondition("HeartbeatKeyAvailable", "True", "KeyFound")
	if message := f.message("HeartbeatKeyAvailable"); message != "The key is in the Secret node-heartbeat-key-2." {
		t.Error(message)
	}
	if f.find(&corev1.Secret{}, firstKey) {
		t.Error("the operator made the retired key again")
	}
	f.create(copyOf(secret)) // for a database that was restored from a backup
	f.settle()
	f.wantMounted(secondKey, firstKey)
}

// TestRotationIsNotRepeated counts the keys of several rotations, and of one that is lowered.
func TestRotationIsNotRepeated(t *testing.T) {
	t.Parallel()
	f := rotatedFarm(t, "")
	secret, _ := f.keyIn(secondKey)
	f.rotate(2)
	f.rotate(0)
	f.wantMounted(thirdKey, secondKey, firstKey)
	f.wantMessage("HeartbeatKeyAvailable", "spec.heartbeat.rotation is 0, but the node has a key of rotation 2; the operator keeps it.")
	f.rotate(2)
	if again, _ := f.keyIn(secondKey); again.UID != secret.UID {
		t.Error("a key was made twice")
	}
	if f.find(&corev1.Secret{}, "node-heartbeat-key-4") || len(f.node().Status.HeartbeatKeys) != 3 {
		t.Errorf("the keys are %+v", f.node().Status.HeartbeatKeys)
	}
}

// TestRotatedKeyLost deletes or changes the Secret of a key.
func TestRotatedKeyLost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		states []string // that the node has reported, the newest first
		secret string
		file   []byte // what the Secret has then; nil if it does not exist
		reason string
	}{
		{"the newest", nil, secondKey, nil, "KeyMissing"},
		{"the newest, which the node does not use", []string{"retired", "active"}, secondKey, nil, "KeyMissing"},
		{"the old one, of an unknown state", nil, firstKey, nil, "KeyMissing"},
		{"the old one, in use", []string{"new", "active"}, firstKey, nil, "KeyMissing"},
		{"the old one, with contracts", []string{"active", "retiring"}, firstKey, nil, "KeyMissing"},
		{"another newest key", []string{"active", "retired"}, secondKey, newKeyFile(t, heartbeat.Merkle), "KeyChanged"},
		{"another old key", []string{"active", "retired"}, firstKey, newKeyFile(t, heartbeat.Merkle), "KeyChanged"},
		{"no key", []string{"active", "retired"}, secondKey, []byte("no key"), "KeyInvalid"},
		{"a key of another scheme", []string{"active", "retiring"}, firstKey, newKeyFile(t, heartbeat.Swizzle), "KeyInvalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := rotatedFarm(t, "")
			f.report(tt.states...)
			pods := f.deployment("node-api").ResourceVersion
			secret, _ := f.keyIn(tt.secret)
			f.ok(f.Delete(t.Context(), secret))
			changed := copyOf(secret)
			if changed.Data = map[string][]byte{"heartbeat.json": tt.file}; tt.file != nil {
				f.create(changed)
			}
			f.settle()
			f.wantCondition("HeartbeatKeyAvailable", "False", tt.reason)
			f.wantCondition("Degraded", "True", tt.reason)
			f.wantMessage("HeartbeatKeyAvailable", tt.secret)
			if tt.file == nil && f.find(&corev1.Secret{}, tt.secret) {
				t.Error("the operator made another key")
			}
			if f.deployment("node-api").ResourceVersion != pods {
				t.Error("the API was changed, although it has the key")
			}
			if tt.file != nil {
				f.ok(f.Delete(t.Context(), changed))
			}
			f.create(copyOf(secret))
			f.settle()
			f.wantCondition("HeartbeatKeyAvailable", "True", "KeyFound")
		})
	}
}

// TestRotatedKeyLostBeforeItIsRecorded deletes the Secret of a new key before the status has
// its fingerprint. No pod has used the key, so the operator makes another one.
func TestRotatedKeyLostBeforeItIsRecorded(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	f.ok(f.Delete(t.Context(), f.jobOf("migration"), client.PropagationPolicy(metav1.DeletePropagationBackground))) // the pods must not wait for its deletion
	f.operator = f.newOperator(interceptor.NewClient(f.WithWatch, interceptor.Funcs{
		SubResourceApply: func(context.Context, client.Client, string, runtime.ApplyConfiguration, ...client.SubResourceApplyOption) error {
			return errInjected
		},
	}))
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Heartbeat.Rotation = 1 })
	if err := f.reconcile(); err == nil {
		t.Fatal("the status was written")
	}
	lost, _ := f.keyIn(secondKey)
	f.wantMounted(firstKey)
	f.ok(f.Delete(t.Context(), lost))
	f.operator = f.newOperator(f.WithWatch)
	f.settle()
	if made, hb := f.keyIn(secondKey); made.UID == lost.UID || f.node().Status.HeartbeatKey.Fingerprint != schemes.Fingerprint(hb) {
		t.Error("the status has the lost key")
	}
	f.wantMounted(secondKey, firstKey)
}

// TestStaleCacheMakesNoRotatedKey deletes the Secret of a recorded key. The operator's
// cache does not show that the key is recorded.
func TestStaleCacheMakesNoRotatedKey(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Heartbeat.Rotation = 1 })
	old := f.node()
	f.settle()
	secret, _ := f.keyIn(secondKey)
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
	if f.find(&corev1.Secret{}, secondKey) {
		t.Error("another key was made")
	}
}

// TestRotationKeepsASecretThatExists rotates to a Secret that the operator did not make.
func TestRotationKeepsASecretThatExists(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "")
	f.bringUp()
	file := newKeyFile(t, heartbeat.Merkle)
	f.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: secondKey}, Data: map[string][]byte{"heartbeat.json": file}})
	f.rotate(1)
	secret, hb := f.keyIn(secondKey)
	if !bytes.Equal(secret.Data["heartbeat.json"], file) || f.node().Status.HeartbeatKey.Fingerprint != schemes.Fingerprint(hb) {
		t.Error("the key that was there first is not the node's")
	}
	f.wantMounted(secondKey, firstKey)
}

func TestRotationOfAKeySuppliedByTheUser(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "heartbeat: {keySecretRef: {name: mine, key: k}}")
	file := newKeyFile(t, heartbeat.Merkle)
	f.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "mine"}, Data: map[string][]byte{"k": file}})
	f.bringUp()
	f.rotate(1)
	f.wantMounted(secondKey, "mine")
	if f.find(&corev1.Secret{}, firstKey) {
		t.Error("the operator made a key beside the user's")
	}
	own, err := schemes.ParseFile(file)
	f.ok(err)
	if _, renewed := f.keyIn(secondKey); !bytes.Equal(own.Public(), renewed.Public()) {
		t.Error("the new key has another public part than the user's")
	}
	f.report("active", "retired")
	f.ok(f.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "mine"}}))
	f.settle()
	f.wantMounted(secondKey)
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Heartbeat.KeySecretRef = nil })
	f.settle()
	f.wantCondition("HeartbeatKeyAvailable", "True", "KeyFound")
	f.wantMounted(secondKey)
}

// TestNodeMadeAgainFindsItsKeys makes a node again, with the manifest of before the
// rotations.
func TestNodeMadeAgainFindsItsKeys(t *testing.T) {
	t.Parallel()
	f := rotatedFarm(t, "")
	f.rotate(2)
	f.report("active", "retiring", "retired")
	secret, _ := f.keyIn(firstKey)
	f.ok(f.Delete(t.Context(), secret))
	f.deleteNode()
	f.ok(f.reconcile())
	f.createNode("")
	f.settle()
	if f.find(&corev1.Secret{}, firstKey) {
		t.Error("a key was made although newer keys exist")
	}
	f.bringUp()
	f.wantMounted(thirdKey, secondKey)
}

func TestCompromisedKey(t *testing.T) {
	t.Parallel()
	f := rotatedFarm(t, "")
	old := f.node().Status.HeartbeatKeys[1].Fingerprint
	f.edit(func(s *v1.DownstreamNodeSpec) {
		s.Heartbeat.Compromised = []v1.Fingerprint{v1.Fingerprint(old[:12]), "0123456789ab"}
	})
	f.settle()
	f.wantMessage("HeartbeatKeyAvailable", "spec.heartbeat.compromised has 0123456789ab, but no key of the node begins with it.")
	if strings.Contains(f.message("HeartbeatKeyAvailable"), "compromised has "+old[:12]) {
		t.Error("the key of the node is called unknown")
	}
	configMap := &corev1.ConfigMap{}
	f.get(configMap, f.deployment("node-workers").Spec.Template.Spec.Volumes[0].Projected.Sources[0].ConfigMap.Name)
	if want := fmt.Sprintf("compromised:\n  - %q\n", old[:12]); !strings.Contains(strings.ReplaceAll(configMap.Data["config.yaml"], "- "+old[:12], fmt.Sprintf("- %q", old[:12])), want) {
		t.Errorf("the configuration is\n%s", configMap.Data["config.yaml"])
	}
}

func TestReadKeys(t *testing.T) {
	t.Parallel()
	status, body := http.StatusOK, `{"keys": [{"fingerprint": "0f", "scheme": "Merkle", "state": "retiring", "compromised": false, "contracts": 12, "chunks": 3, "tokens": 4, "created": 100}]}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/downstream/v1/status/keys" {
			t.Errorf("the path is %s", r.URL.Path)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	keys, err := controllers.ReadKeys(t.Context(), address)
	if want := []controllers.Key{{Fingerprint: "0f", State: "retiring", Contracts: new(int64(12))}}; err != nil || !reflect.DeepEqual(keys, want) {
		t.Errorf("the keys are %+v, %v, want %+v", keys, err, want)
	}
	status = http.StatusNotFound
	if keys, err := controllers.ReadKeys(t.Context(), address); err == nil {
		t.Errorf("a 404 is read as %+v", keys)
	}
}
