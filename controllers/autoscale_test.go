package controllers_test

import (
	"errors"
	"testing"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
)

func (f *farm) wantWorkers(what string, want int32) {
	f.t.Helper()
	f.settle()
	if got := *f.deployment("node-workers").Spec.Replicas; got != want {
		f.t.Errorf("%s: %d workers are applied, want %d", what, got, want)
	}
	if got := f.node().Status.Workers.DesiredReplicas; got != want {
		f.t.Errorf("%s: the status has %d workers, want %d", what, got, want)
	}
}

func TestWorkersFollowTheBacklog(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "workers: {replicas: 9, autoscaling: {min: 1, max: 5, targetBacklogPerWorker: 10, scaleDownDelaySeconds: 60}}")
	f.bringUp()
	f.wantWorkers("nothing waits", 1)
	f.backlog = 31
	f.wantWorkers("31 jobs for 10 each", 4)
	if got := f.node().Status.Backlog; got == nil || *got != 31 {
		t.Errorf("the status has the backlog %v, want 31", got)
	}
	f.backlog = 1000
	f.wantWorkers("more jobs than the maximum of workers can do", 5)
	f.redisErr = errors.New("no response")
	f.clock = f.clock.Add(time.Hour)
	f.wantWorkers("Redis does not respond", 5)
	if got := f.node().Status.Backlog; got != nil {
		t.Errorf("the status has the backlog %v although Redis cannot be read", *got)
	}
	f.redisErr, f.backlog = nil, 1000
	f.settle()
	f.backlog = 0
	f.clock = f.clock.Add(30 * time.Second)
	f.wantWorkers("nothing waits for half of the delay", 5)
	f.clock = f.clock.Add(31 * time.Second)
	f.wantWorkers("nothing waits for the delay", 1)
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Workers.Autoscaling.Min = new(int32(0)) })
	f.clock = f.clock.Add(time.Hour)
	f.wantWorkers("the minimum is 0", 0)
	f.wantCondition("WorkersAvailable", "True", "ScaledToZero")
	f.edit(func(s *v1.DownstreamNodeSpec) { s.Workers.Autoscaling = nil })
	f.wantWorkers("without autoscaling", 9)
}

// TestNewOperatorKeepsTheWorkers checks that a new operator first keeps
// the current number of workers. It does not know the earlier numbers.
func TestNewOperatorKeepsTheWorkers(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "workers: {autoscaling: {max: 5, targetBacklogPerWorker: 10, scaleDownDelaySeconds: 60}}")
	f.backlog = 50
	f.bringUp()
	f.wantWorkers("50 jobs", 5)
	f.operator = f.newOperator(f.WithWatch)
	f.backlog = 0
	f.wantWorkers("another operator", 5)
	f.clock = f.clock.Add(time.Minute)
	f.wantWorkers("a minute later", 1)
}

// TestAPIAutoscalerTakesOver checks that the number of replicas never falls to
// the default when the owner of the field changes.
func TestAPIAutoscalerTakesOver(t *testing.T) {
	t.Parallel()
	f := newFarm(t, "api: {replicas: 3}")
	f.bringUp()
	replicas := func(want int32) {
		t.Helper()
		f.settle()
		if got := *f.deployment("node-api").Spec.Replicas; got != want {
			t.Fatalf("%d API replicas are applied, want %d", got, want)
		}
	}
	f.edit(func(s *v1.DownstreamNodeSpec) {
		s.API.Autoscaling = &v1.APIAutoscaling{Min: 2, Max: 9, TargetCPUPercent: 50}
	})
	replicas(3)
	f.get(&autoscalingv2.HorizontalPodAutoscaler{}, "node-api")
	for _, n := range []int32{6, 4} {
		scale := &autoscalingv1.Scale{}
		f.ok(f.SubResource("scale").Get(t.Context(), f.deployment("node-api"), scale))
		scale.Spec.Replicas = n
		f.ok(f.SubResource("scale").Update(t.Context(), f.deployment("node-api"), client.WithSubResourceBody(scale), client.FieldOwner("autoscaler")))
		replicas(n)
	}
	f.edit(func(s *v1.DownstreamNodeSpec) { s.API.Autoscaling = nil })
	replicas(3)
	if f.find(&autoscalingv2.HorizontalPodAutoscaler{}, "node-api") {
		t.Error("the autoscaler still exists")
	}
}
