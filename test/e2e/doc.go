// Package e2e tests the operator and its chart on a real cluster: real kubelets,
// a namespace that enforces the restricted pod security standard, and farmers
// that come in through the Service.
//
// The tests need the tag "e2e" and a cluster: hack/e2e makes both, and says what
// the environment must name. They run one after another, for there is one
// operator for the cluster; each has a namespace and a database of its own.
//
// The package does not test what an API server without kubelets can show; that
// is in controllers/.
package e2e
