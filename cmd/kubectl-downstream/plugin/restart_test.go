package plugin

import (
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers/desired"
)

// farmDeployment returns a Deployment of readyNode.
func farmDeployment(role desired.Role) *appsv1.Deployment {
	of := desired.Node{DownstreamNode: readyNode()}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: of.ObjectName(role), Namespace: "storage", Labels: of.Labels(role)},
		Spec:       appsv1.DeploymentSpec{Replicas: new(int32(2))},
		Status:     appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2},
	}
}

func isNode(object client.Object) bool {
	_, ok := object.(*v1.DownstreamNode)
	return ok
}

func TestRestart(t *testing.T) {
	t.Parallel()
	foreign := farmDeployment(desired.Workers)
	foreign.Labels = nil
	stopped := farmDeployment(desired.Workers)
	stopped.Spec.Replicas, stopped.Status = new(int32(0)), appsv1.DeploymentStatus{}
	hibernating, hibernatingPaused := readyNode(), readyNode()
	hibernating.Spec.Hibernate, hibernatingPaused.Spec.Hibernate, hibernatingPaused.Spec.Paused = true, true, true
	for name, tt := range map[string]struct {
		objects   []client.Object
		roles     []desired.Role
		restarted []desired.Role
		says      string
	}{
		"both":                           {[]client.Object{farmDeployment(desired.API), farmDeployment(desired.Workers)}, servingRoles, servingRoles, "farm: the pods of the Deployment farm-api are being replaced\nfarm: the pods of the Deployment farm-workers are being replaced\n"},
		"one role":                       {[]client.Object{farmDeployment(desired.API), farmDeployment(desired.Workers)}, servingRoles[1:], servingRoles[1:], "farm: the pods of the Deployment farm-workers are being replaced\n"},
		"a new node":                     {[]client.Object{farmDeployment(desired.API)}, servingRoles, nil, "the operator has not made the Deployment farm-workers yet"},
		"another's":                      {[]client.Object{farmDeployment(desired.API), foreign}, servingRoles, nil, "the Deployment farm-workers does not belong to the node farm"},
		"no such node":                   {nil, servingRoles, nil, "not found"},
		"no pods":                        {[]client.Object{farmDeployment(desired.API), stopped}, servingRoles, servingRoles[:1], "farm: the pods of the Deployment farm-api are being replaced\nfarm: the Deployment farm-workers has no pods to replace\n"},
		"hibernating":                    {[]client.Object{hibernating, farmDeployment(desired.API)}, servingRoles[:1], nil, "farm hibernates, so it has no pods to replace"},
		"hibernating when it was paused": {[]client.Object{hibernatingPaused, farmDeployment(desired.API)}, servingRoles[:1], servingRoles[:1], "farm: the pods of the Deployment farm-api are being replaced\n"},
	} {
		objects := tt.objects
		if objects != nil && !slices.ContainsFunc(objects, isNode) {
			objects = append(objects, readyNode())
		}
		c := newTestCluster(t, nil, objects...)
		var out strings.Builder
		replaces, err := c.restart(t.Context(), &out, "farm", tt.roles, seenAt)
		if (err == nil) != (tt.restarted != nil) || err == nil && out.String() != tt.says || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %q, %v", name, &out, err)
		}
		if replaces != (len(tt.restarted) > 0) {
			t.Errorf("%s: replaces pods: %t", name, replaces)
		}
		var all appsv1.DeploymentList
		if err := c.List(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		restarted := 0
		for _, d := range all.Items {
			if d.Spec.Template.Annotations[restartedAt] == seenAt.Format(time.RFC3339) {
				restarted++
			}
		}
		if restarted != len(tt.restarted) {
			t.Errorf("%s: %d Deployments are restarted", name, restarted)
		}
	}
}

// TestRestartIsComplete has one case for each reason to wait.
func TestRestartIsComplete(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*appsv1.Deployment)
		says   string
	}{
		"complete":         {func(*appsv1.Deployment) {}, ""},
		"not noticed yet":  {func(d *appsv1.Deployment) { d.Generation = 2 }, "farm-api has replaced 2 of 2 pods"},
		"old pods":         {func(d *appsv1.Deployment) { d.Status.Replicas = 3 }, "farm-api has replaced"},
		"too few new pods": {func(d *appsv1.Deployment) { d.Status.UpdatedReplicas = 1 }, "farm-api has replaced 1 of 2 pods"},
		"not available":    {func(d *appsv1.Deployment) { d.Status.AvailableReplicas = 1 }, "farm-api has replaced"},
	} {
		d := farmDeployment(desired.API)
		tt.change(d)
		err := newTestCluster(t, nil, readyNode(), d).replaced(t.Context(), "farm", servingRoles[:1])
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWrongRole(t *testing.T) {
	t.Parallel()
	for args, says := range map[string]string{
		"restart farm --role mysql": `--role is "mysql"; write api or workers`,
		"logs farm --role metrics":  `--role is "metrics"; write one of api, workers, migration, whitelist, maintenance, backup, mysql, redis`,
		"logs farm --since -1s":     "--since must not be negative",
	} {
		cmd := New()
		cmd.SetArgs(strings.Fields(args))
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		if err := cmd.ExecuteContext(t.Context()); err == nil || err.Error() != says {
			t.Errorf("%s: %v", args, err)
		}
	}
}
