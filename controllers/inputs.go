package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// readInputs reads what the spec refers to, so that pods are replaced when it
// changes. Without it pods could not start, so there the phases end.
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
			return block(ReasonSecretMissing, "the Secret %s is not there", name)
		}
		if *input.into = secret.Data[key]; len(*input.into) == 0 {
			return block(ReasonSecretMissing, "the Secret %s has no key %s, or nothing in it", name, key)
		}
	}
	return nil
}

// readWhitelist gets the whitelist, or nil where it is not there.
func (r *Reconciler) readWhitelist(ctx context.Context, s *scope) ([]byte, error) {
	ref := s.Spec.Whitelist.ConfigMapRef
	configMap := &corev1.ConfigMap{}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: ref.Name}, configMap)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get the ConfigMap %s: %w", ref.Name, err)
	}
	if text, ok := configMap.Data[ref.Key]; ok {
		return []byte(text), nil
	}
	return configMap.BinaryData[ref.Key], nil
}
