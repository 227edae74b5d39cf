// Package e2e tests the operator and its chart on a real cluster. The cluster has
// real kubelets and a namespace that enforces the restricted pod security standard.
// Farmers send their requests to the Service.
//
// The tests need the build tag "e2e" and a cluster. hack/e2e starts a cluster and
// the tests, and documents the environment variables that must be set. Tests that
// change the operator, stop a machine or measure a rate run one after another, because the
// cluster has one operator. The others run in parallel afterwards. Each test has its own
// namespace and database. hack/e2e starts a cluster of three machines that enforces network
// policies. On another cluster, tests that need more than it has are skipped.
//
// Behaviour that can be tested with an API server but without kubelets is tested in
// controllers/.
package e2e
