// Package e2e tests the operator and its chart on a real cluster: real kubelets, a
// namespace that enforces the restricted pod security standard, and farmers that
// send their requests to the Service.
//
// The tests need the build tag "e2e" and a cluster: hack/e2e starts both, and says
// which environment variables must be set. The tests run one after another, because
// the cluster has one operator. Each test has its own namespace and database.
//
// What an API server without kubelets can show is tested in controllers/.
package e2e
