package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/internal/node"
)

// notifier posts to a URL if the farmers are in trouble: contracts are lost, or the node does
// not respond for a while. If the URL is empty, it does nothing.
type notifier struct {
	url, who string
	log      *slog.Logger

	lost    int64     // how many contracts were lost at the last message
	sent    time.Time // when the last message was sent
	failing time.Time // since when requests fail; zero if the last one succeeded
	told    bool      // a message has said that requests fail
	posts   sync.WaitGroup
}

const (
	// notifyAfter is how long requests must fail before a message.
	notifyAfter = 2 * time.Minute
	// notifyEach is the time between two messages about lost contracts.
	notifyEach = 10 * time.Minute
	// notifyTimeout limits a message.
	notifyTimeout = 10 * time.Second
)

// look sends a message if the snapshot shows new trouble.
func (n *notifier) look(ctx context.Context, s farmer.Snapshot, now time.Time) {
	if lost := s.Lost - n.lost; lost > 0 && now.Sub(n.sent) >= notifyEach {
		n.lost, n.sent = s.Lost, now
		n.send(ctx, fmt.Sprintf("lost %s; the last reason: %s", node.Counted(lost, "contract"), s.LostWhy))
	}
	switch {
	case s.RetryAt.IsZero():
		n.failing, n.told = time.Time{}, false
	case n.failing.IsZero():
		n.failing = now
	case !n.told && now.Sub(n.failing) >= notifyAfter:
		n.told = true
		n.send(ctx, fmt.Sprintf("requests have failed for %v: %s", notifyAfter, s.LastError))
	}
}

// send posts a message in the background. It logs a failure.
func (n *notifier) send(ctx context.Context, text string) {
	if n.url == "" {
		return
	}
	n.posts.Go(func() {
		if err := n.post(ctx, "downstream farmer "+n.who+": "+text); err != nil {
			n.log.Warn("cannot post to the URL of --notify", "error", err)
		}
	})
}

func (n *notifier) post(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, notifyTimeout)
	defer cancel()
	body, err := json.Marshal(map[string]string{"text": text})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("it is not a URL")
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err // the URL is a secret
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("the response is %s", resp.Status)
	}
	return nil
}
