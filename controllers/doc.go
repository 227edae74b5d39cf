// Package controllers is the operator: it makes what runs on a cluster equal to
// what DownstreamNodes ask for.
//
// A reconcile goes through phases, one file each, in the order of the list in
// reconciler.go. What there should be comes from the pure builders of the
// package desired; every object goes through one applier, by server-side apply
// under one field owner. A phase that cannot go on says so with a [blocked] and
// ends the phases; then, whatever came of them, the status is worked out anew
// from what was found and written once.
//
// The package does not judge proofs or talk to MySQL; the processes do that. It
// asks Redis for one number, the backlog.
//
// The invariants: a heartbeat key is made once and never in place of another;
// no pod gets a new template before the database has the schema for it; an
// object of somebody else's is left alone.
package controllers

//go:generate go run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0 rbac:roleName=operator paths=. output:rbac:dir=../config/rbac
