package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers/desired"
)

// Key is a heartbeat key of a node, as GET /status/keys describes it.
type Key struct {
	Fingerprint string `json:"fingerprint"`
	State       string `json:"state"`
	Contracts   *int64 `json:"contracts"` // that need a retiring key; nil otherwise
}

// KeyReader reads the heartbeat keys that a node's database has. address is the host
// and the port of the node's API.
type KeyReader func(ctx context.Context, address string) ([]Key, error)

// ReadKeys is the KeyReader for production.
func ReadKeys(ctx context.Context, address string) ([]Key, error) {
	var response struct {
		Keys []Key `json:"keys"`
	}
	err := readStatus(ctx, address, "keys", &response)
	return response.Keys, err
}

// setKeyStates copies what the node reports into the status of its keys. A state that
// the node does not report stays: an operator that forgot that a key is retired would
// wait for the key's Secret, without which no API pod can start and report the state.
func (s *scope) setKeyStates(reported []Key) {
	for _, key := range reported {
		i := slices.IndexFunc(s.status.HeartbeatKeys, func(k v1.RotatedKeyStatus) bool { return k.Fingerprint == key.Fingerprint })
		if i >= 0 {
			s.status.HeartbeatKeys[i].State, s.status.HeartbeatKeys[i].Contracts = cut(key.State, 32), key.Contracts
		}
	}
}

// rotationProgress returns sentences about the older keys whose Secrets exist, and about
// settings of the spec that have no effect.
func (s *scope) rotationProgress() (text string) {
	if len(s.status.HeartbeatKeys) == 0 {
		return ""
	}
	for _, key := range s.status.HeartbeatKeys[1:] {
		mounted := slices.ContainsFunc(s.Inputs.Keys, func(k desired.Key) bool { return k.Rotation == key.Rotation })
		switch {
		case !mounted:
		case key.State == v1.KeyRetired:
			text += fmt.Sprintf(" The Secret %s can be deleted: nothing needs its key %.12s.", key.SecretName, key.Fingerprint)
		case key.State == "retiring" && key.Contracts != nil:
			text += fmt.Sprintf(" The key %.12s in the Secret %s is being replaced; contracts that still need it: %d.", key.Fingerprint, key.SecretName, *key.Contracts)
		case key.State == "":
			text += fmt.Sprintf(" The node has not reported the state of the key %.12s, so keep the Secret %s.", key.Fingerprint, key.SecretName)
		default:
			text += fmt.Sprintf(" The node needs the key %.12s in the Secret %s until all pods have the newer key.", key.Fingerprint, key.SecretName)
		}
	}
	if asked, newest := s.Spec.Heartbeat.Rotation, s.status.HeartbeatKeys[0].Rotation; asked < newest {
		text += fmt.Sprintf(" spec.heartbeat.rotation is %d, but the node has a key of rotation %d; the operator keeps it.", asked, newest)
	}
	for _, print := range s.Spec.Heartbeat.Compromised {
		if !slices.ContainsFunc(s.status.HeartbeatKeys, func(k v1.RotatedKeyStatus) bool { return strings.HasPrefix(k.Fingerprint, string(print)) }) {
			text += fmt.Sprintf(" spec.heartbeat.compromised has %.12s, but no key of the node begins with it.", print)
		}
	}
	return cut(text, 4000)
}
