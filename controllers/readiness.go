package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/driveshare/downstream-node/controllers/desired"
)

// ReadinessReader asks a pod which of its dependencies it cannot use. address is the
// host and the port of the pod's private port. The result has "ok" or an error for each
// check of the pod's /readyz.
type ReadinessReader func(ctx context.Context, address string) (map[string]string, error)

// The limits of one question to a node. A process that does not respond must not delay the reconciles of
// other nodes. Pods of one role usually have the same problem, so few are asked.
const (
	nodeTimeout = 2 * time.Second
	maxResponse = 256 << 10
	askedPods   = 3
)

// nodeClient connects to the node itself: it follows no redirect and uses no proxy.
var nodeClient = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// ReadReadiness is the ReadinessReader for production.
func ReadReadiness(ctx context.Context, address string) (map[string]string, error) {
	var checks map[string]string
	_, err := askNode(ctx, "http://"+address+"/readyz", &checks)
	return checks, err
}

// askNode decodes the JSON response of a node's process, whatever its status is.
func askNode(ctx context.Context, url string, into any) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, nodeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	response, err := nodeClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		return response.StatusCode, fmt.Errorf("read %s: status %d: %w", url, response.StatusCode, err)
	}
	return response.StatusCode, nil
}

// The checks of /readyz that are conditions of a node, and those that are no problem.
const (
	databaseCheck = "database"
	schemaCheck   = "schema"
	queueCheck    = "redis"
	processCheck  = "process" // the pod starts or stops
)

// report is the response of a pod that is not ready.
type report struct {
	pod    string
	checks map[string]string
}

// askPods asks running pods that are not ready why they are not. If no pod responds, it
// returns the error of one.
func (r *Reconciler) askPods(ctx context.Context, pods []corev1.Pod) ([]report, error) {
	asked := slices.DeleteFunc(slices.Clone(pods), func(pod corev1.Pod) bool {
		return !pod.DeletionTimestamp.IsZero() || pod.Status.PodIP == "" || pod.Status.Phase != corev1.PodRunning || podReady(&pod)
	})
	asked = asked[:min(len(asked), askedPods)]
	reports, errs := make([]report, len(asked)), make([]error, len(asked))
	var wg sync.WaitGroup
	for i, pod := range asked {
		wg.Go(func() {
			reports[i].pod = pod.Name
			address := net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(desired.PrivatePort))
			reports[i].checks, errs[i] = r.Readiness(ctx, address)
		})
	}
	wg.Wait()
	reports = slices.DeleteFunc(reports, func(r report) bool { return r.checks == nil })
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 && len(reports) == 0 {
		return nil, errs[i]
	}
	return reports, nil
}

func podReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// failure returns what a pod says about a failed check. failure is empty if no pod says
// so. known reports whether any pod has checked.
func (f facts) failure(check string) (failure string, known bool) {
	for _, p := range []pool{f.api, f.workers} {
		known = known || p.ready > 0
		for _, report := range p.reports {
			switch words := report.checks[check]; words {
			case "":
			case "ok":
				known = true
			default:
				return fmt.Sprintf("the pod %s reports: %s", report.pod, excerpt(words)), true
			}
		}
	}
	return "", known
}

// otherFailure returns what a pod says about its other failed checks.
func (p pool) otherFailure() string {
	for _, report := range p.reports {
		var failed []string
		for _, name := range slices.Sorted(maps.Keys(report.checks)) {
			words := report.checks[name]
			known := name == databaseCheck || name == queueCheck || name == processCheck ||
				name == schemaCheck && report.checks[databaseCheck] != "ok"
			if words != "ok" && !known {
				failed = append(failed, name+": "+excerpt(words))
			}
		}
		if len(failed) > 0 {
			return fmt.Sprintf("the pod %s is not ready: %s", report.pod, strings.Join(failed, "; "))
		}
	}
	return ""
}

func databaseAvailable(f facts) verdict {
	return f.backend(databaseCheck, "database", ReasonDatabaseUnavailable)
}

func queueAvailable(f facts) verdict {
	return f.backend(queueCheck, "Redis", ReasonQueueUnavailable)
}

// backend computes the condition of a dependency of the pods. If no pod has checked, the
// condition does not change.
func (f facts) backend(check, what, reason string) verdict {
	switch failure, known := f.failure(check); {
	case failure != "":
		return no(reason, "The %s cannot be used: %s.", what, failure)
	case known:
		return yes(ReasonUsable, "The pods can use the %s.", what)
	}
	return verdict{}
}
