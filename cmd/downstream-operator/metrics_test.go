package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/rest"
)

// reviewer is an API server that handles only reviews. The token is the user's name.
// "nobody" does not authenticate, and only "prometheus" may get /metrics.
type reviewer struct {
	tokens, access atomic.Int32
	failures       atomic.Int32 // how many of the next requests fail with a transient error
}

func (v *reviewer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if v.failures.Add(-1) >= 0 {
		w.Header().Set("Retry-After", "0")
		http.Error(w, "{}", http.StatusServiceUnavailable)
		return
	}
	switch r.URL.Path {
	case "/apis/authentication.k8s.io/v1/tokenreviews":
		v.tokens.Add(1)
		var review authenticationv1.TokenReview
		_ = json.NewDecoder(r.Body).Decode(&review)
		review.APIVersion, review.Kind = "authentication.k8s.io/v1", "TokenReview"
		review.Status.Authenticated = review.Spec.Token != "nobody"
		review.Status.User = authenticationv1.UserInfo{Username: review.Spec.Token, Groups: []string{"system:authenticated"}}
		_ = json.NewEncoder(w).Encode(review)
	case "/apis/authorization.k8s.io/v1/subjectaccessreviews":
		v.access.Add(1)
		var review authorizationv1.SubjectAccessReview
		_ = json.NewDecoder(r.Body).Decode(&review)
		review.APIVersion, review.Kind = "authorization.k8s.io/v1", "SubjectAccessReview"
		at := review.Spec.NonResourceAttributes
		review.Status.Allowed = review.Spec.User == "prometheus" && len(review.Spec.Groups) == 1 && at.Verb == "get" && at.Path == "/metrics"
		review.Status.Denied = review.Spec.User == "banned"
		_ = json.NewEncoder(w).Encode(review)
	default:
		http.NotFound(w, r)
	}
}

// guarded returns a function that requests a path from a guarded handler and returns
// the status.
func guarded(t *testing.T, v *reviewer) func(path, authorization string) int {
	t.Helper()
	server := httptest.NewServer(v)
	t.Cleanup(server.Close)
	filter, err := newGuard(&rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}, server.Client())
	if err != nil {
		t.Fatal(err)
	}
	handler, err := filter(logr.Discard(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the handler sees the token")
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	if err != nil {
		t.Fatal(err)
	}
	return func(path, authorization string) int {
		t.Helper()
		req := httptest.NewRequest(http.MethodGet, path, nil)
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		return w.Code
	}
}

func TestMetricsNeedAnAllowedToken(t *testing.T) {
	t.Parallel()
	get := guarded(t, &reviewer{})
	for _, tt := range []struct {
		name, path, authorization string
		want                      int
	}{
		{"an allowed user", "/metrics", "Bearer prometheus", http.StatusNoContent},
		{"a lower-case scheme", "/metrics", " bearer prometheus ", http.StatusNoContent},
		{"another path", "/debug", "Bearer prometheus", http.StatusForbidden},
		{"another user", "/metrics", "Bearer somebody", http.StatusForbidden},
		{"a denied user", "/metrics", "Bearer banned", http.StatusForbidden},
		{"no header", "/metrics", "", http.StatusUnauthorized},
		{"no token", "/metrics", "Bearer", http.StatusUnauthorized},
		{"an empty token", "/metrics", "Bearer  prometheus", http.StatusUnauthorized},
		{"another scheme", "/metrics", "Basic prometheus", http.StatusUnauthorized},
		{"an invalid token", "/metrics", "Bearer nobody", http.StatusInternalServerError},
	} {
		if got := get(tt.path, tt.authorization); got != tt.want {
			t.Errorf("%s: status %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestReviewsAreCached(t *testing.T) {
	t.Parallel()
	v := &reviewer{}
	get := guarded(t, v)
	for range 3 {
		get("/metrics", "Bearer prometheus")
		get("/metrics", "Bearer somebody")
	}
	if tokens, access := v.tokens.Load(), v.access.Load(); tokens != 2 || access != 2 {
		t.Errorf("%d token reviews and %d access reviews for two users, want 2 and 2", tokens, access)
	}
	get("/metrics", "Bearer nobody")
	get("/metrics", "Bearer nobody")
	if got := v.tokens.Load(); got != 4 {
		t.Errorf("%d token reviews, want 4: a rejected token is reviewed again", got)
	}
}

func TestFailedReviews(t *testing.T) {
	t.Parallel()
	v := &reviewer{}
	get := guarded(t, v)
	v.failures.Store(1)
	if got := get("/metrics", "Bearer prometheus"); got != http.StatusNoContent {
		t.Errorf("after a transient failure: status %d, want %d", got, http.StatusNoContent)
	}
	unreachable, err := newGuard(&rest.Config{Host: "http://127.0.0.1:1"}, http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	handler, err := unreachable(logr.Discard(), http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	req.Header.Set("Authorization", "Bearer prometheus")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, req)
	if w.Code != http.StatusInternalServerError {
		t.Errorf("without an API server: status %d, want %d", w.Code, http.StatusInternalServerError)
	}
}
