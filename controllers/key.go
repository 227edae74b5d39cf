package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1alpha1"
	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
)

// ensureKey guards the heartbeat key, without which no contract can be
// checked. It goes on only with the key whose fingerprint is in the status, so
// that nothing is ever made with a key that could still be taken for missing.
//
// A key is made where the node never had one: no Secret, and no fingerprint in
// the status as the API server has it now. If the Secret is lost after it was
// made and before the fingerprint is recorded, another is made; nothing used
// the first.
//
// Until the migration has completed for the first time, a key that somebody
// puts in the place of the recorded one is taken: the database may be of an
// earlier node, and only the migration finds out whose it is. No pod but the
// migration's has had a key by then.
func (r *Reconciler) ensureKey(ctx context.Context, s *scope) error {
	fingerprint, err := r.findKey(ctx, s)
	s.facts.key = &keyFact{secret: keySecretName(s)}
	if stop, ok := err.(*blocked); ok {
		s.facts.key.problem = stop
	}
	if err != nil {
		return err
	}
	if s.status.HeartbeatKey.Fingerprint != fingerprint {
		s.status.HeartbeatKey = v1alpha1.HeartbeatKeyStatus{SecretName: keySecretName(s), Fingerprint: fingerprint}
		return errRecordFirst
	}
	s.status.HeartbeatKey.SecretName = keySecretName(s)
	return nil
}

// findKey puts the key's file into the inputs and gives its fingerprint.
func (r *Reconciler) findKey(ctx context.Context, s *scope) (string, error) {
	secret, err := r.keySecret(ctx, s)
	if err != nil {
		return "", err
	}
	_, key := s.KeySecret()
	file := secret.Data[key]
	hb, err := schemes.ParseFile(file)
	if err != nil {
		// The error may quote the file, which is a secret.
		return "", block(ReasonKeyInvalid, "the key %s of the Secret %s is not a private heartbeat file; put the node's own key back, from a backup", key, secret.Name)
	}
	if want := heartbeat.Type(s.Spec.Heartbeat.Type); hb.Type() != want {
		return "", block(ReasonKeyInvalid, "the key in the Secret %s is for %s, and spec.heartbeat.type is %s", secret.Name, hb.Type(), want)
	}
	fingerprint := schemes.Fingerprint(hb)
	if known := s.status.HeartbeatKey.Fingerprint; known != "" && known != fingerprint && databaseHasKey(s.DownstreamNode) {
		return "", block(ReasonKeyChanged, "the key in the Secret %s has the fingerprint %.12s, and the node's contracts were made with %.12s; put the node's own key back, from a backup", secret.Name, fingerprint, known)
	}
	s.Inputs.Key = file
	return fingerprint, nil
}

// databaseHasKey says whether a migration has completed, which makes the key
// known to the database, and fails where that belongs to another.
func databaseHasKey(node *v1alpha1.DownstreamNode) bool { return node.Status.Migration != "" }

// keySecret gets the Secret with the key, and makes it where the node never
// had one.
func (r *Reconciler) keySecret(ctx context.Context, s *scope) (*corev1.Secret, error) {
	name := keySecretName(s)
	secret, err := r.secret(ctx, s, name)
	if secret != nil || err != nil {
		return secret, err
	}
	if s.Spec.Heartbeat.KeySecretRef != nil {
		return nil, block(ReasonKeyMissing, "the Secret %s, which spec.heartbeat.keySecretRef names, is not there", name)
	}
	node := &v1alpha1.DownstreamNode{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(s.DownstreamNode), node); err != nil {
		return nil, fmt.Errorf("get the node before making a key: %w", err)
	}
	switch known := node.Status.HeartbeatKey.Fingerprint; {
	case known != "" && !databaseHasKey(node):
		return nil, block(ReasonKeyMissing, "the Secret %s is gone; restore the key that the database belongs to from a backup, or make the node again where it has never served: no other key is made in its place", name)
	case known != "":
		return nil, block(ReasonKeyMissing, "the Secret %s is gone; restore the key with the fingerprint %.12s from a backup: contracts cannot be checked with another, so none is made", name, known)
	}
	return r.makeKey(ctx, s)
}

// makeKey makes the key. Where somebody else was first, theirs is the key.
func (r *Reconciler) makeKey(ctx context.Context, s *scope) (*corev1.Secret, error) {
	fraction := s.Spec.Heartbeat.CheckFraction.Float64()
	hb, err := schemes.New(heartbeat.Type(s.Spec.Heartbeat.Type), &fraction)
	if err != nil {
		return nil, fmt.Errorf("make a heartbeat key: %w", err)
	}
	secret := s.HeartbeatKeySecret(schemes.MarshalFile(hb), schemes.Fingerprint(hb))
	err = r.Client.Create(ctx, secret, client.FieldOwner(FieldOwner))
	switch {
	case apierrors.IsAlreadyExists(err):
		theirs, err := r.secret(ctx, s, secret.Name)
		if err == nil && theirs == nil {
			err = fmt.Errorf("the Secret %s was there and is gone", secret.Name)
		}
		return theirs, err
	case err != nil:
		return nil, notWritten("Secret", secret.Name, err)
	}
	s.note(corev1.EventTypeNormal, "HeartbeatKeyMade", "Made a heartbeat key in the Secret %s; back it up: contracts cannot be checked without it", secret.Name)
	return secret, nil
}

func keySecretName(s *scope) string {
	name, _ := s.KeySecret()
	return name
}
