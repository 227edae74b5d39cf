package controllers

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers/desired"
	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
)

// secret reads a Secret from the API server, not from the cache. It returns nil if
// the Secret does not exist.
func (r *Reconciler) secret(ctx context.Context, s *scope, name string) (*corev1.Secret, error) {
	return find(ctx, r.Live, s, "Secret", name, &corev1.Secret{})
}

// createSecret creates a Secret. If another client has already created the Secret,
// createSecret returns the existing Secret.
func (r *Reconciler) createSecret(ctx context.Context, s *scope, secret *corev1.Secret) (live *corev1.Secret, created bool, err error) {
	err = r.Client.Create(ctx, secret, client.FieldOwner(FieldOwner))
	switch {
	case err == nil:
		return secret, true, nil
	case !apierrors.IsAlreadyExists(err):
		return nil, false, writeError("Secret", secret.Name, err)
	}
	live, err = r.secret(ctx, s, secret.Name)
	if err == nil && live == nil {
		err = fmt.Errorf("the Secret %s was deleted while the operator read it", secret.Name)
	}
	return live, false, err
}

// readInputs reads the Secrets that pods need to connect to MySQL, its replica and Redis. If
// the contents of these Secrets change, the operator replaces the pods. Pods cannot start
// without these Secrets, so a missing Secret ends the run.
func (r *Reconciler) readInputs(ctx context.Context, s *scope) (err error) {
	mysql := append(s.MySQLFiles(), s.ReplicaFiles()...)
	if s.Inputs.MySQL, err = r.readFiles(ctx, s, mysql); err != nil {
		return err
	}
	if s.Inputs.Redis, err = r.readFiles(ctx, s, s.RedisFiles()); err != nil {
		return err
	}
	for _, f := range mysql {
		if f.Name != desired.DSNFile && f.Name != desired.ReadDSNFile {
			continue
		}
		if scheme, _, found := bytes.Cut(s.Inputs.MySQL[f.Name], []byte("://")); found && !bytes.ContainsAny(scheme, ":@(/") {
			// The error must not quote the value, which is secret.
			return block(ReasonDSNInvalid, "the key %s of the Secret %s is a URL that begins with %s://; write it as user:password@tcp(host:3306)/database, or use mysql.connection", f.Key, f.Secret, cut(string(scheme), 10))
		}
	}
	return nil
}

// readFiles returns the contents of entries of Secrets, by the names of their files. It
// reads each Secret once, so that a user name and a password are of the same version.
func (r *Reconciler) readFiles(ctx context.Context, s *scope, files []desired.SecretFile) (map[string][]byte, error) {
	contents, secrets := map[string][]byte{}, map[string]*corev1.Secret{}
	for _, f := range files {
		if secrets[f.Secret] == nil {
			secret, err := r.secret(ctx, s, f.Secret)
			if err != nil {
				return nil, err
			}
			if secret == nil {
				return nil, block(ReasonSecretMissing, "the Secret %s does not exist; create it with the key %s", f.Secret, f.Key)
			}
			secrets[f.Secret] = secret
		}
		if contents[f.Name] = secrets[f.Secret].Data[f.Key]; len(contents[f.Name]) == 0 {
			return nil, block(ReasonSecretMissing, "the Secret %s has no value under the key %s; add it", f.Secret, f.Key)
		}
	}
	return contents, nil
}

// ensureKey reads the heartbeat keys. It makes a key for a new node, and for each
// rotation that the spec asks for. A contract can be checked only with the key that it
// was made with. Therefore the later phases run only after each key's fingerprint is in
// the status. Because of this order, the operator never replaces a key that other
// objects depend on.
//
// The operator makes a key only if there is no Secret and the API server's copy
// of the status has no fingerprint. If the Secret is lost before the fingerprint
// is recorded, the operator makes another key. No pod has used the lost key.
//
// Until the first migration completes, the operator accepts another key than the
// recorded key. The database may belong to an earlier node, and only the migration
// can check which key the database has. Until then, no other pod uses a key.
func (r *Reconciler) ensureKey(ctx context.Context, s *scope) error {
	keys, err := r.findKeys(ctx, s)
	s.facts.key = &keyFact{}
	if stop, ok := err.(*blocked); ok {
		s.facts.key.problem = stop
	}
	if err != nil {
		return err
	}
	recorded := !slices.ContainsFunc(keys, func(k v1.RotatedKeyStatus) bool {
		return recordedKey(&s.status, k.Rotation).Fingerprint != k.Fingerprint
	})
	s.status.HeartbeatKeys = keys
	s.status.HeartbeatKey = keys[0].HeartbeatKeyStatus
	s.facts.key.secret = keys[0].SecretName
	if !recorded {
		return errRecordFirst
	}
	return nil
}

// recordedKey returns the status of a rotation's key. It is empty if the status has none.
func recordedKey(status *v1.DownstreamNodeStatus, rotation int32) (key v1.RotatedKeyStatus) {
	for _, k := range status.HeartbeatKeys {
		if k.Rotation == rotation {
			return k
		}
	}
	if len(status.HeartbeatKeys) == 0 && rotation == 0 {
		key.HeartbeatKeyStatus = status.HeartbeatKey // an older operator, or an older CRD, has no list
	}
	return key
}

// findKeys stores the key files in the inputs and returns the status of each key, the
// newest first. Pods do not get a retired key whose Secret was deleted.
func (r *Reconciler) findKeys(ctx context.Context, s *scope) (keys []v1.RotatedKeyStatus, err error) {
	secrets, err := r.keySecrets(ctx, s)
	if err != nil {
		return nil, err
	}
	var previous heartbeat.Heartbeat
	for i, secret := range secrets {
		rotation, newest := int32(i), i == len(secrets)-1
		key := recordedKey(&s.status, rotation)
		if secret == nil {
			if key.State == v1.KeyRetired && !newest {
				keys = append(keys, key)
				continue
			}
			newer := slices.ContainsFunc(secrets[i+1:], func(s *corev1.Secret) bool { return s != nil })
			if key.Fingerprint == "" && newer {
				continue // an earlier node of this name has used the newer key, and its user deleted this one
			}
			if secret, err = r.newSecret(ctx, s, rotation, previous); err != nil {
				return nil, err
			}
		}
		hb, file, err := parseKey(s, rotation, secret)
		if err != nil {
			return nil, err
		}
		fingerprint := schemes.Fingerprint(hb)
		if known := key.Fingerprint; known != fingerprint {
			if known != "" && databaseHasKey(s.DownstreamNode) {
				return nil, block(ReasonKeyChanged, "the key in the Secret %s has the fingerprint %.12s, but the node's contracts were made with %.12s; restore the node's key from a backup", secret.Name, fingerprint, known)
			}
			key = v1.RotatedKeyStatus{}
		}
		key.Rotation, key.SecretName, key.Fingerprint = rotation, secret.Name, fingerprint
		keys, previous = append(keys, key), hb
		s.Inputs.Keys = append(s.Inputs.Keys, desired.Key{Rotation: rotation, File: file})
	}
	slices.Reverse(keys)
	slices.Reverse(s.Inputs.Keys)
	return keys, nil
}

// keySecrets reads the Secret of each rotation, the first one first. It returns nil for a
// Secret that does not exist. If the node has no key yet, keySecrets also returns newer
// Secrets than the spec asks for. An earlier node of this name has left them, and the
// database may need them.
func (r *Reconciler) keySecrets(ctx context.Context, s *scope) (secrets []*corev1.Secret, err error) {
	isNew := s.status.HeartbeatKey.Fingerprint == ""
	for rotation := int32(0); rotation <= s.Rotation() || isNew; rotation++ {
		name, _ := s.KeySecret(rotation)
		secret, err := r.secret(ctx, s, name)
		if err != nil {
			return nil, err
		}
		if rotation > s.Rotation() && secret == nil {
			break
		}
		secrets = append(secrets, secret)
	}
	return secrets, nil
}

// parseKey returns the heartbeat key in a Secret, and its file.
func parseKey(s *scope, rotation int32, secret *corev1.Secret) (heartbeat.Heartbeat, []byte, error) {
	_, key := s.KeySecret(rotation)
	file := secret.Data[key]
	hb, err := schemes.ParseFile(file)
	if err != nil {
		// The parser's error may quote the file, which is secret.
		return nil, nil, block(ReasonKeyInvalid, "the key %s of the Secret %s is not a private heartbeat file; restore the node's key from a backup", key, secret.Name)
	}
	if want := heartbeat.Type(s.Spec.Heartbeat.Type); hb.Type() != want {
		return nil, nil, block(ReasonKeyInvalid, "the key in the Secret %s is for %s, but spec.heartbeat.type is %s", secret.Name, hb.Type(), want)
	}
	return hb, file, nil
}

// databaseHasKey reports whether a migration has completed. A migration records
// the key in the database, and fails if the database has another key.
func databaseHasKey(node *v1.DownstreamNode) bool { return node.Status.Migration != "" }

// newSecret makes a key for a rotation whose Secret does not exist, unless the node
// has had a key for it.
func (r *Reconciler) newSecret(ctx context.Context, s *scope, rotation int32, previous heartbeat.Heartbeat) (*corev1.Secret, error) {
	name, _ := s.KeySecret(rotation)
	if rotation == 0 && s.Spec.Heartbeat.KeySecretRef != nil {
		return nil, block(ReasonKeyMissing, "the Secret %s, which spec.heartbeat.keySecretRef names, does not exist", name)
	}
	node := &v1.DownstreamNode{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(s.DownstreamNode), node); err != nil {
		return nil, fmt.Errorf("get the node before making a key: %w", err)
	}
	switch known := recordedKey(&node.Status, rotation).Fingerprint; {
	case known != "" && !databaseHasKey(node):
		return nil, block(ReasonKeyMissing, "the Secret %s was deleted; restore the database's key from a backup, or recreate the node if it has never served: the operator makes no other key", name)
	case known != "":
		return nil, block(ReasonKeyMissing, "the Secret %s was deleted; restore the key with the fingerprint %.12s from a backup: contracts cannot be checked with another key, so the operator makes none", name, known)
	}
	return r.makeKey(ctx, s, rotation, previous)
}

// makeKey makes a heartbeat key and stores it in a Secret. A key that replaces another one
// has the same public part.
func (r *Reconciler) makeKey(ctx context.Context, s *scope, rotation int32, previous heartbeat.Heartbeat) (*corev1.Secret, error) {
	var hb heartbeat.Heartbeat
	var err error
	if previous != nil {
		hb, err = schemes.Renew(previous)
	} else {
		fraction := s.Spec.Heartbeat.CheckFraction.Float64()
		hb, err = schemes.New(heartbeat.Type(s.Spec.Heartbeat.Type), &fraction)
	}
	if err != nil {
		return nil, fmt.Errorf("make a heartbeat key: %w", err)
	}
	secret, created, err := r.createSecret(ctx, s, s.HeartbeatKeySecret(rotation, schemes.MarshalFile(hb), schemes.Fingerprint(hb)))
	if created {
		s.note(corev1.EventTypeNormal, "HeartbeatKeyMade", "Made a heartbeat key in the Secret %s; back it up: contracts cannot be checked without it", secret.Name)
	}
	return secret, err
}
