package controllers

import (
	"bytes"
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1alpha1"
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

// readInputs reads the Secrets with the addresses of MySQL and Redis. If the contents
// of these Secrets change, the operator replaces the pods. Pods cannot start without
// these Secrets, so a missing Secret ends the run.
func (r *Reconciler) readInputs(ctx context.Context, s *scope) error {
	for _, input := range []struct {
		into *[]byte
		ref  func() (name, key string)
	}{
		{&s.Inputs.DSN, s.DSNSecret},
		{&s.Inputs.RedisURL, s.RedisSecret},
	} {
		name, key := input.ref()
		secret, err := r.secret(ctx, s, name)
		if err != nil {
			return err
		}
		if secret == nil {
			return block(ReasonSecretMissing, "the Secret %s does not exist; create it with the key %s", name, key)
		}
		if *input.into = secret.Data[key]; len(*input.into) == 0 {
			return block(ReasonSecretMissing, "the Secret %s has no value under the key %s; add it", name, key)
		}
	}
	if scheme, _, found := bytes.Cut(s.Inputs.DSN, []byte("://")); found && !bytes.ContainsAny(scheme, ":@(/") {
		// The error must not quote the value, which is secret.
		name, key := s.DSNSecret()
		return block(ReasonDSNInvalid, "the key %s of the Secret %s is a URL that begins with %s://; write it as user:password@tcp(host:3306)/database", key, name, cut(string(scheme), 10))
	}
	return nil
}

// ensureKey reads the heartbeat key, and makes a key for a new node. A contract can
// be checked only with the key that it was made with. Therefore the later phases run
// only after the key's fingerprint is in the status. Because of this order, the
// operator never replaces a key that other objects depend on.
//
// The operator makes a key only if there is no Secret and the API server's copy
// of the status has no fingerprint. If the Secret is lost before the fingerprint
// is recorded, the operator makes another key. No pod has used the lost key.
//
// Until the first migration completes, the operator accepts another key than the
// recorded key. The database may belong to an earlier node, and only the migration
// can check which key the database has. Until then, no other pod uses a key.
func (r *Reconciler) ensureKey(ctx context.Context, s *scope) error {
	fingerprint, err := r.findKey(ctx, s)
	name, _ := s.KeySecret()
	s.facts.key = &keyFact{secret: name}
	if stop, ok := err.(*blocked); ok {
		s.facts.key.problem = stop
	}
	if err != nil {
		return err
	}
	recorded := s.status.HeartbeatKey.Fingerprint == fingerprint
	s.status.HeartbeatKey = v1alpha1.HeartbeatKeyStatus{SecretName: name, Fingerprint: fingerprint}
	if !recorded {
		return errRecordFirst
	}
	return nil
}

// findKey stores the key file in the inputs and returns the key's fingerprint.
func (r *Reconciler) findKey(ctx context.Context, s *scope) (string, error) {
	secret, err := r.keySecret(ctx, s)
	if err != nil {
		return "", err
	}
	_, key := s.KeySecret()
	file := secret.Data[key]
	hb, err := schemes.ParseFile(file)
	if err != nil {
		// The parser's error may quote the file, which is secret.
		return "", block(ReasonKeyInvalid, "the key %s of the Secret %s is not a private heartbeat file; restore the node's key from a backup", key, secret.Name)
	}
	if want := heartbeat.Type(s.Spec.Heartbeat.Type); hb.Type() != want {
		return "", block(ReasonKeyInvalid, "the key in the Secret %s is for %s, but spec.heartbeat.type is %s", secret.Name, hb.Type(), want)
	}
	fingerprint := schemes.Fingerprint(hb)
	if known := s.status.HeartbeatKey.Fingerprint; known != "" && known != fingerprint && databaseHasKey(s.DownstreamNode) {
		return "", block(ReasonKeyChanged, "the key in the Secret %s has the fingerprint %.12s, but the node's contracts were made with %.12s; restore the node's key from a backup", secret.Name, fingerprint, known)
	}
	s.Inputs.Key = file
	return fingerprint, nil
}

// databaseHasKey reports whether a migration has completed. A migration records
// the key in the database, and fails if the database has another key.
func databaseHasKey(node *v1alpha1.DownstreamNode) bool { return node.Status.Migration != "" }

// keySecret reads the Secret with the key. If the node never had a key, keySecret
// makes one.
func (r *Reconciler) keySecret(ctx context.Context, s *scope) (*corev1.Secret, error) {
	name, _ := s.KeySecret()
	secret, err := r.secret(ctx, s, name)
	if secret != nil || err != nil {
		return secret, err
	}
	if s.Spec.Heartbeat.KeySecretRef != nil {
		return nil, block(ReasonKeyMissing, "the Secret %s, which spec.heartbeat.keySecretRef names, does not exist", name)
	}
	node := &v1alpha1.DownstreamNode{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(s.DownstreamNode), node); err != nil {
		return nil, fmt.Errorf("get the node before making a key: %w", err)
	}
	switch known := node.Status.HeartbeatKey.Fingerprint; {
	case known != "" && !databaseHasKey(node):
		return nil, block(ReasonKeyMissing, "the Secret %s was deleted; restore the database's key from a backup, or recreate the node if it has never served: the operator makes no other key", name)
	case known != "":
		return nil, block(ReasonKeyMissing, "the Secret %s was deleted; restore the key with the fingerprint %.12s from a backup: contracts cannot be checked with another key, so the operator makes none", name, known)
	}
	return r.makeKey(ctx, s)
}

// makeKey makes a heartbeat key and stores it in a Secret.
func (r *Reconciler) makeKey(ctx context.Context, s *scope) (*corev1.Secret, error) {
	fraction := s.Spec.Heartbeat.CheckFraction.Float64()
	hb, err := schemes.New(heartbeat.Type(s.Spec.Heartbeat.Type), &fraction)
	if err != nil {
		return nil, fmt.Errorf("make a heartbeat key: %w", err)
	}
	secret, created, err := r.createSecret(ctx, s, s.HeartbeatKeySecret(schemes.MarshalFile(hb), schemes.Fingerprint(hb)))
	if created {
		s.note(corev1.EventTypeNormal, "HeartbeatKeyMade", "Made a heartbeat key in the Secret %s; back it up: contracts cannot be checked without it", secret.Name)
	}
	return secret, err
}
