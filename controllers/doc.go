// Package controllers is the operator. It makes the objects on a cluster match
// the DownstreamNodes there.
//
// A reconcile runs the phases listed in reconciler.go, in order. The pure
// builders of package desired compute each object, and apply.go writes it by
// server-side apply under one field owner. A phase that cannot continue returns
// a [blocked] error and ends the run. The reconciler then computes the status
// from what it observed and writes it once.
//
// The package does not judge proofs and does not connect to MySQL. It reads one
// number from Redis: the backlog.
//
// Invariants: the operator makes each heartbeat key once, in its own Secret, which
// it never changes or deletes. No pod gets a new template before the database has
// that template's schema. The operator does not change objects that it does not own.
package controllers

//go:generate go run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0 rbac:roleName=operator paths=. output:rbac:dir=../config/rbac
