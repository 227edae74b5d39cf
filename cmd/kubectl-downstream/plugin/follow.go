package plugin

import (
	"context"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// follower reads the logs of a node's pods as they grow.
type follower struct {
	*cluster
	node  string
	opt   logOptions
	lines chan logLine
	ended chan endedLog
	state map[string]followed // by the ids of containers
	errs  io.Writer
}

// followed is the state of a container's log.
type followed struct {
	open     bool
	complete bool      // the container has ended, and its log is read
	last     time.Time // the time of the last line
}

// endedLog says that a log has broken off or ended.
type endedLog struct {
	source logSource
	last   time.Time
	err    error
}

// followLogs prints the logs of a node until ctx ends.
func (c *cluster) followLogs(ctx context.Context, out, errs io.Writer, name string, opt logOptions) error {
	f := &follower{cluster: c, node: name, opt: opt, errs: errs, lines: make(chan logLine, 1024), ended: make(chan endedLog), state: map[string]followed{}}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return printFollowed(ctx, f.lines, opt.print(out)) })
	group.Go(func() error { return f.run(ctx, group) })
	return group.Wait()
}

// run looks for containers that have started, and opens their logs. It returns an error only
// if the first look fails: later the API server may be away for a while.
func (f *follower) run(ctx context.Context, group *errgroup.Group) error {
	if err := f.look(ctx, group, true); err != nil {
		return err
	}
	tick := time.NewTicker(waitInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := f.look(ctx, group, false); err != nil && ctx.Err() == nil {
				fmt.Fprintf(f.errs, "look for new pods: %v\n", err)
			}
		case end := <-f.ended:
			s := f.state[end.source.id]
			s.open, s.last = false, end.last
			// A log that ends while its container runs was cut off, so it is opened again. The
			// same holds for one that was opened while its container ran.
			s.complete = end.err == nil && !end.source.running
			f.state[end.source.id] = s
			if end.err != nil && ctx.Err() == nil {
				fmt.Fprintln(f.errs, end.err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// look opens the logs of containers that are not followed yet, and of those whose log broke
// off. --since and --tail limit only what the containers wrote before the command started.
func (f *follower) look(ctx context.Context, group *errgroup.Group, first bool) error {
	pods, err := f.nodePods(ctx, f.node, f.opt.role)
	if err != nil {
		return err
	}
	for i := range pods {
		for _, source := range logSources(&pods[i], false) {
			s := f.state[source.id]
			if s.open || s.complete {
				continue
			}
			request := logOptions{tail: -1}.request()
			if first {
				request = f.opt.request()
			}
			if !s.last.IsZero() {
				request.SinceTime = &metav1.Time{Time: s.last}
			}
			request.Follow = true
			since := s.last
			s.open = true
			f.state[source.id] = s
			group.Go(func() error {
				log, err := f.openLog(ctx, source, request)
				if err != nil {
					return f.end(ctx, endedLog{source, since, err})
				}
				defer log.close()
				return f.end(ctx, f.copy(ctx, log, since))
			})
		}
	}
	return nil
}

// copy passes the lines of a log on, without those that were read before. The API server
// selects by whole seconds, so it may send some lines of the last second again.
func (f *follower) copy(ctx context.Context, log *logReader, since time.Time) endedLog {
	last := since
	for {
		line, err := log.next()
		if err == io.EOF {
			return endedLog{log.source, last, nil}
		}
		if err != nil {
			return endedLog{log.source, last, err}
		}
		if !line.at.After(since) && !since.IsZero() {
			continue
		}
		last = line.at
		select {
		case f.lines <- line:
		case <-ctx.Done():
			return endedLog{log.source, last, nil}
		}
	}
}

func (f *follower) end(ctx context.Context, end endedLog) error {
	select {
	case f.ended <- end:
	case <-ctx.Done():
	}
	return nil
}
