package controllers

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
)

// OnOpenShift reports whether the cluster is an OpenShift: it has the API group of the
// security context constraints. The list of groups also contains a group whose server does
// not respond.
func OnOpenShift(cluster discovery.ServerGroupsInterface) (bool, error) {
	list, err := cluster.ServerGroups()
	if err != nil {
		return false, fmt.Errorf("list the API groups of the cluster: %w", err)
	}
	return slices.ContainsFunc(list.Groups, func(g metav1.APIGroup) bool { return g.Name == "security.openshift.io" }), nil
}
