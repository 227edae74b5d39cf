package plugin

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers/desired"
	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
)

// testKey is a heartbeat key.
type testKey struct {
	hb    heartbeat.Heartbeat
	file  []byte
	print string
}

func newTestKey(t *testing.T) testKey {
	t.Helper()
	hb, err := schemes.New(heartbeat.Merkle, nil) // Merkle keys are fast to make
	if err != nil {
		t.Fatal(err)
	}
	return testKey{hb, schemes.MarshalFile(hb), schemes.Fingerprint(hb)}
}

// nodeWithKeys returns a migrated node and the Secrets of its keys, the first rotation first.
func nodeWithKeys(keys ...testKey) (node *v1.DownstreamNode, objects []client.Object) {
	node = readyNode()
	node.Status.Migration = "farm-migration-1"
	objects = []client.Object{node}
	for i, key := range keys {
		secret := (&desired.Node{DownstreamNode: node}).HeartbeatKeySecret(int32(i), key.file, key.print)
		node.Status.HeartbeatKeys = append([]v1.RotatedKeyStatus{{Rotation: int32(i), HeartbeatKeyStatus: v1.HeartbeatKeyStatus{SecretName: secret.Name, Fingerprint: key.print}}}, node.Status.HeartbeatKeys...)
		objects = append(objects, secret)
	}
	return node, objects
}

// testCommand returns a command for functions that print, and its outputs.
func testCommand(t *testing.T) (cmd *cobra.Command, out, errs *strings.Builder) {
	cmd, out, errs = &cobra.Command{}, &strings.Builder{}, &strings.Builder{}
	cmd.SetContext(t.Context())
	cmd.SetOut(out)
	cmd.SetErr(errs)
	return cmd, out, errs
}

func write(t *testing.T, path string, text []byte) string {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestKeyRoundTrip exports a key in each form, and imports it for a node that does not exist.
func TestKeyRoundTrip(t *testing.T) {
	t.Parallel()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	identities := write(t, filepath.Join(dir, "identity"), []byte("# mine\n"+identity.String()+"\n"))
	phrase := passphraseFlags{file: write(t, filepath.Join(dir, "phrase"), []byte("correct horse\r\n"))}
	key := newTestKey(t)
	for name, tt := range map[string]struct {
		encryption encryption
		decryption decryption
	}{
		"plain":      {},
		"recipient":  {encryption{recipients: []string{identity.Recipient().String()}}, decryption{identity: identities}},
		"passphrase": {encryption{passphrase: phrase}, decryption{passphrase: phrase}},
	} {
		node, objects := nodeWithKeys(key)
		cmd, out, errs := testCommand(t)
		path := filepath.Join(dir, name)
		if err := newTestCluster(t, nil, objects...).exportKey(cmd, node, 0, path, &tt.encryption); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want := "farm: wrote the key " + key.print[:12] + " of rotation 0 to " + path + "\n"; out.String() != want || errs.Len() > 0 {
			t.Errorf("%s: printed %q and %q", name, out, errs)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		content, err := os.ReadFile(path)
		if err != nil || bytes.Contains(content, key.file) != (name == "plain") {
			t.Errorf("%s: the file has the key: %t, %v", name, bytes.Contains(content, key.file), err)
		}
		file, hb, err := tt.decryption.readKeyFile(cmd, path)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c := newTestCluster(t, nil)
		if err := c.importKey(cmd, "farm", file, hb, nil); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		secret := &corev1.Secret{}
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: "storage", Name: "farm-heartbeat-key"}, secret); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(secret.Data["heartbeat.json"], key.file) || secret.Immutable == nil || !*secret.Immutable {
			t.Errorf("%s: the Secret is not the exported one", name)
		}
	}
}

func TestKeyExportRefuses(t *testing.T) {
	t.Parallel()
	old, newer := newTestKey(t), newTestKey(t)
	dir := t.TempDir()
	present := write(t, filepath.Join(dir, "present"), []byte("another key"))
	node, objects := nodeWithKeys(old, newer)
	changed, swapped := nodeWithKeys(old)
	changed.Status.HeartbeatKeys[0].Fingerprint = newer.print
	for name, tt := range map[string]struct {
		node     *v1.DownstreamNode
		objects  []client.Object
		rotation int32
		path     string
		e        encryption
		says     string
	}{
		"a file that exists":   {node, objects, 0, present, encryption{}, "file exists"},
		"a missing Secret":     {node, objects, 2, filepath.Join(dir, "a"), encryption{}, "the Secret farm-heartbeat-key-3 does not exist; `kubectl downstream key list farm` shows the keys"},
		"another key":          {changed, swapped, 0, filepath.Join(dir, "b"), encryption{}, "the Secret farm-heartbeat-key has the key " + old.print[:12] + ", but the node's key is " + newer.print[:12]},
		"a wrong recipient":    {node, objects, 0, filepath.Join(dir, "c"), encryption{recipients: []string{"age1wrong"}}, "--recipient: "},
		"an empty passphrase":  {node, objects, 0, filepath.Join(dir, "d"), encryption{passphrase: passphraseFlags{file: write(t, filepath.Join(dir, "empty"), nil)}}, "must have the passphrase"},
		"a missing passphrase": {node, objects, 0, filepath.Join(dir, "e"), encryption{passphrase: passphraseFlags{file: filepath.Join(dir, "none")}}, "no such file"},
	} {
		cmd, _, _ := testCommand(t)
		err := newTestCluster(t, nil, tt.objects...).exportKey(cmd, tt.node, tt.rotation, tt.path, &tt.e)
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(tt.path); tt.path != present && err == nil {
			t.Errorf("%s: the file was written", name)
		}
	}
	if text, err := os.ReadFile(present); err != nil || string(text) != "another key" {
		t.Errorf("the file that exists is now %q, %v", text, err)
	}
	cmd, _, errs := testCommand(t)
	if err := newTestCluster(t, nil, objects...).exportKey(cmd, node, 1, filepath.Join(dir, "newest"), &encryption{}); err != nil {
		t.Fatal(err)
	}
	if want := "The node also needs the key " + old.print[:12] + ": export it with --rotation 0.\n"; errs.String() != want {
		t.Errorf("the hint is %q, want %q", errs, want)
	}
}

func TestKeyImport(t *testing.T) {
	t.Parallel()
	old, newer, other := newTestKey(t), newTestKey(t), newTestKey(t)
	_, with := nodeWithKeys(old, newer)
	lost, _ := nodeWithKeys(old, newer)
	unmigrated, _ := nodeWithKeys(old)
	unmigrated.Status.Migration = ""
	legacy := readyNode()
	legacy.Status.Migration, legacy.Status.HeartbeatKey.Fingerprint = "m", old.print
	swizzle, _ := nodeWithKeys()
	swizzle.Spec.Heartbeat.Type = v1.HeartbeatType(heartbeat.Swizzle)
	named := readyNode()
	named.Spec.Heartbeat.KeySecretRef = &v1.HeartbeatKeyRef{ObjectReference: v1.ObjectReference{Name: "mine"}, Key: "file"}
	only := []client.Object{lost}
	for name, tt := range map[string]struct {
		objects  []client.Object
		key      testKey
		rotation *int32
		secret   string // that must have the key afterwards
		says     string
	}{
		"a lost key":                     {only, old, nil, "farm-heartbeat-key", "farm: made the Secret farm-heartbeat-key with the key " + old.print[:12] + " of rotation 0\n"},
		"a lost newer key":               {only, newer, nil, "farm-heartbeat-key-2", "of rotation 1"},
		"a newer key of no node":         {nil, newer, new(int32(1)), "farm-heartbeat-key-2", "of rotation 1"},
		"a present key":                  {with, newer, nil, "farm-heartbeat-key-2", "farm: unchanged, the Secret farm-heartbeat-key-2 has the key"},
		"a Secret that the spec names":   {[]client.Object{named}, old, nil, "mine", "made the Secret mine"},
		"an older operator":              {[]client.Object{legacy}, old, nil, "farm-heartbeat-key", "made the Secret"},
		"a database with another key":    {[]client.Object{unmigrated}, other, nil, "farm-heartbeat-key", "made the Secret"},
		"another key than the status":    {only, other, nil, "", "the file has the key " + other.print[:12] + ", but the key of rotation 0 of farm is " + old.print[:12] + "; nothing was imported"},
		"another, for an older operator": {[]client.Object{legacy}, other, nil, "", "nothing was imported"},
		"another key than the Secret":    {[]client.Object{with[1]}, other, nil, "", "the Secret farm-heartbeat-key has another key (" + old.print[:12] + ") than the file (" + other.print[:12] + "), and was not changed"},
		"the wrong rotation":             {only, old, new(int32(1)), "", "the file has the key of rotation 0, not of rotation 1"},
		"a key of another scheme":        {[]client.Object{swizzle}, old, nil, "", "the file has a key for Merkle, but spec.heartbeat.type of farm is Swizzle"},
	} {
		c := newTestCluster(t, nil, tt.objects...)
		cmd, out, _ := testCommand(t)
		err := c.importKey(cmd, "farm", tt.key.file, tt.key.hb, tt.rotation)
		if (err == nil) != (tt.secret != "") || err == nil && !strings.Contains(out.String(), tt.says) || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %q, %v", name, out, err)
		}
		var secrets corev1.SecretList
		if err := c.List(t.Context(), &secrets); err != nil {
			t.Fatal(err)
		}
		where := ""
		for _, secret := range secrets.Items {
			for _, file := range secret.Data {
				if bytes.Equal(file, tt.key.file) {
					where = secret.Name
				}
			}
		}
		if where != tt.secret {
			t.Errorf("%s: the key is in %q, want %q", name, where, tt.secret)
		}
	}
}

func TestKeyVerify(t *testing.T) {
	t.Parallel()
	old, newer, other := newTestKey(t), newTestKey(t), newTestKey(t)
	node, _ := nodeWithKeys(old, newer)
	node.Status.HeartbeatKeys[0].State = "active"
	for name, tt := range map[string]struct {
		node  *v1.DownstreamNode
		print string
		ok    bool
		says  string
	}{
		"the newest": {node, newer.print, true, "this is the key " + newer.print[:12] + " of farm: rotation 1, active"},
		"an older":   {node, old.print, true, "rotation 0, state unknown"},
		"another":    {node, other.print, false, "this is the key " + other.print[:12] + ", which farm does not have; it has " + newer.print[:12] + ", " + old.print[:12]},
		"no key yet": {readyNode(), old.print, false, "has no heartbeat keys yet"},
	} {
		text, err := verdict(tt.node, tt.print)
		if err != nil {
			text = err.Error()
		}
		if (err == nil) != tt.ok || !strings.Contains(text, tt.says) {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

// TestWrongKeyFiles checks that an error about a file does not quote the file.
func TestWrongKeyFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	key := newTestKey(t)
	var text bytes.Buffer
	shell := armor.NewWriter(&text)
	w, err := age.Encrypt(shell, identity.Recipient())
	if err == nil {
		_, err = w.Write(key.file)
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = shell.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	armored := write(t, filepath.Join(dir, "armored"), text.Bytes())
	mine := write(t, filepath.Join(dir, "mine"), []byte(identity.String()))
	cmd, _, _ := testCommand(t)
	if _, hb, err := (&decryption{identity: mine}).readKeyFile(cmd, armored); err != nil || schemes.Fingerprint(hb) != key.print {
		t.Errorf("an armored file: %v", err)
	}
	const private = `{"type": "Merkle", "heartbeat": {"key": "c2VjcmV0"}}`
	for name, tt := range map[string]struct {
		d    decryption
		path string
		says string
	}{
		"not a key":          {decryption{}, write(t, filepath.Join(dir, "not"), []byte(private)), "is not a private heartbeat file"},
		"no such file":       {decryption{}, filepath.Join(dir, "none"), "no such file"},
		"a wrong identity":   {decryption{identity: write(t, filepath.Join(dir, "stranger"), []byte(stranger.String()))}, armored, "decrypt " + armored},
		"no identity":        {decryption{identity: write(t, filepath.Join(dir, "hello"), []byte("hello"))}, armored, "has no age identity"},
		"a wrong passphrase": {decryption{passphrase: passphraseFlags{file: mine}}, armored, "decrypt "},
	} {
		cmd, _, _ := testCommand(t)
		_, _, err := tt.d.readKeyFile(cmd, tt.path)
		if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
