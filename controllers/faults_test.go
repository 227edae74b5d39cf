package controllers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers"
)

var errInjected = errors.New("injected")

// failing is a client that fails one write to the API server. fail is the number of
// that write.
type failing struct {
	client.Client
	writes, fail int
	failed       bool
}

// newFailing returns a client that fails a write before executing it. If lost is true,
// the client executes the write and then returns an error, as if the response were
// lost. It then does not count applies of objects, because they are idempotent.
func newFailing(c client.WithWatch, fail int, lost bool) *failing {
	f := &failing{fail: fail}
	write := func(do func() error) error {
		f.writes++
		if f.writes != f.fail {
			return do()
		}
		f.failed = true
		if lost {
			return errors.Join(do(), errInjected)
		}
		return errInjected
	}
	f.Client = interceptor.NewClient(c, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
			return write(func() error { return c.Create(ctx, object, options...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.DeleteOption) error {
			return write(func() error { return c.Delete(ctx, object, options...) })
		},
		Apply: func(ctx context.Context, c client.WithWatch, object runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			if lost {
				return c.Apply(ctx, object, options...)
			}
			return write(func() error { return c.Apply(ctx, object, options...) })
		},
		SubResourceApply: func(ctx context.Context, c client.Client, sub string, object runtime.ApplyConfiguration, options ...client.SubResourceApplyOption) error {
			return write(func() error { return c.SubResource(sub).Apply(ctx, object, options...) })
		},
	})
	return f
}

// TestEveryWriteFailing runs live once for each write, and fails that write. The
// resulting objects must always be the same, and the node must keep its first key.
func TestEveryWriteFailing(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		f := newFarm(t, "")
		none := newFailing(f.WithWatch, 0, lost)
		f.operator = f.newOperator(none)
		f.live()
		want := f.shape()
		for n := 1; n <= none.writes; n++ {
			t.Run(fmt.Sprintf("%d/response lost: %v", n, lost), func(t *testing.T) {
				t.Parallel()
				f := newFarm(t, "")
				c := newFailing(f.WithWatch, n, lost)
				f.operator = f.newOperator(c)
				f.live()
				if !c.failed {
					t.Error("no write failed")
				}
				if got := f.shape(); !slices.Equal(got, want) {
					t.Errorf("there are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			})
		}
	}
}

// live creates a node, edits it and migrates its database.
func (f *farm) live() {
	f.t.Helper()
	f.persist()
	_, fingerprint := f.key()
	f.finish(f.jobOf("migration"), true)
	f.persist()
	f.run("node-api")
	f.run("node-workers")
	f.edit(func(s *v1.DownstreamNodeSpec) {
		s.Image = "example.org/new"
		s.Workers.Replicas = new(int32(2))
		s.API.Replicas = new(int32(1))
		s.Contracts.TokensPerIP = 7
	})
	f.persist()
	f.finish(f.jobOf("migration"), true)
	f.persist()
	f.run("node-api")
	f.run("node-workers")
	f.persist()
	f.wantCondition("Available", "True", "FarmersCanFarm")
	f.wantCondition("Progressing", "False", "AsExpected")
	if _, now := f.key(); now != fingerprint || f.node().Status.HeartbeatKey.Fingerprint != now {
		f.t.Error("the key is not the one that was first made")
	}
}

// persist runs reconciles as a work queue does. It reconciles again after an error, or
// if the operator requests the next reconcile in less than a second.
func (f *farm) persist() {
	f.t.Helper()
	for range 10 {
		result, err := f.operator.Reconcile(f.t.Context(), f.request())
		f.collect()
		if err == nil && result.RequeueAfter >= time.Second && f.noDeletionPending() {
			return
		}
		if err != nil && !errors.Is(err, errInjected) {
			f.t.Fatal(err)
		}
	}
	f.t.Fatal("the operator does not stop making changes")
}

// noDeletionPending reports false if the operator is waiting for the deletion of a Job. In
// production, a watch reports the deletion.
func (f *farm) noDeletionPending() bool {
	c := meta.FindStatusCondition(f.node().Status.Conditions, v1.SchemaMigrated)
	return c == nil || c.Reason != controllers.ReasonMigrationWaiting
}

// shape returns the names of all objects without their hashes, which depend on
// the key.
func (f *farm) shape() []string {
	f.t.Helper()
	var names []string
	for name := range f.objects() {
		names = append(names, withoutHash(name))
	}
	slices.Sort(names)
	return names
}

// withoutHash replaces the hash at the end of a name with a star.
func withoutHash(name string) string {
	if cut := strings.LastIndex(name, "-"); len(name)-cut == 11 {
		return name[:cut] + "-*"
	}
	return name
}
