package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// metrics returns the options of the operator's metrics port.
func (o operatorOptions) metrics() metricsserver.Options {
	if o.metricsInsecure {
		return metricsserver.Options{BindAddress: o.metricsAddress}
	}
	return metricsserver.Options{
		BindAddress:    o.metricsAddress,
		SecureServing:  true,
		FilterProvider: newGuard,
		// With HTTP/2, one client could open any number of streams. HTTP/1.1 is enough.
		TLSOpts: []func(*tls.Config){func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }},
	}
}

// guard allows a request if the API server confirms two things. A TokenReview must
// accept the request's bearer token, and a SubjectAccessReview must allow the token's
// user to access the path. controller-runtime's own filter does the same, but it imports
// k8s.io/apiserver, which adds 250 packages.
//
// The results of both reviews are cached, so a scrape usually sends no request to the
// API server. The caches are bounded and hold hashes of tokens, not tokens. A failed
// review is not cached.
type guard struct {
	tokens   authenticationclient.TokenReviewInterface
	access   authorizationclient.SubjectAccessReviewInterface
	users    *cache.LRUExpireCache // authenticationv1.UserInfo by the token's hash
	verdicts *cache.LRUExpireCache // authorizationv1.SubjectAccessReviewStatus by the spec's hash
}

const (
	cachedReviews = 1024 // entries in each cache
	userTTL       = time.Minute
	allowedTTL    = 5 * time.Minute
	deniedTTL     = 30 * time.Second
	reviewTimeout = 10 * time.Second // for one review, with its retries
)

// reviewBackoff sets the delays between the attempts of one review.
var reviewBackoff = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 1.5, Jitter: 0.2, Steps: 5}

// newGuard is the FilterProvider in metricsserver.Options.
func newGuard(cfg *rest.Config, httpClient *http.Client) (metricsserver.Filter, error) {
	tokens, err := authenticationclient.NewForConfigAndClient(cfg, httpClient)
	if err != nil {
		return nil, err
	}
	access, err := authorizationclient.NewForConfigAndClient(cfg, httpClient)
	if err != nil {
		return nil, err
	}
	g := &guard{
		tokens:   tokens.TokenReviews(),
		access:   access.SubjectAccessReviews(),
		users:    cache.NewLRUExpireCache(cachedReviews),
		verdicts: cache.NewLRUExpireCache(cachedReviews),
	}
	return g.filter, nil
}

// filter responds 401 without a token, 403 if the user may not access the path,
// and 500 if a review fails or rejects the token.
func (g *guard) filter(log logr.Logger, next http.Handler) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := bearerToken(r)
		if token == "" {
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		user, err := g.authenticate(r.Context(), token)
		if err != nil {
			log.Error(err, "Authentication failed")
			http.Error(w, "Authentication failed", http.StatusInternalServerError)
			return
		}
		status, err := g.authorize(r.Context(), user, strings.ToLower(r.Method), r.URL.Path)
		if err != nil {
			message := fmt.Sprintf("Authorization for user %s failed", user.Username)
			log.Error(err, message)
			http.Error(w, message, http.StatusInternalServerError)
			return
		}
		if status.Denied || !status.Allowed {
			message := fmt.Sprintf("Authorization denied for user %s", user.Username)
			log.V(4).Info(message, "reason", status.Reason)
			http.Error(w, message, http.StatusForbidden)
			return
		}
		r.Header.Del("Authorization") // the handler does not need the token
		next.ServeHTTP(w, r)
	}), nil
}

func bearerToken(r *http.Request) string {
	fields := strings.Split(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	if len(fields) < 2 || !strings.EqualFold(fields[0], "bearer") {
		return ""
	}
	return fields[1]
}

// authenticate returns the user of a token.
func (g *guard) authenticate(ctx context.Context, token string) (authenticationv1.UserInfo, error) {
	key := sha256.Sum256([]byte(token))
	if user, ok := g.users.Get(key); ok {
		return user.(authenticationv1.UserInfo), nil
	}
	review, err := retry(ctx, func(ctx context.Context) (*authenticationv1.TokenReview, error) {
		spec := authenticationv1.TokenReviewSpec{Token: token}
		return g.tokens.Create(ctx, &authenticationv1.TokenReview{Spec: spec}, metav1.CreateOptions{})
	})
	switch {
	case err != nil:
		return authenticationv1.UserInfo{}, fmt.Errorf("review the token: %w", err)
	case review.Status.Authenticated:
		g.users.Add(key, review.Status.User, userTTL)
		return review.Status.User, nil
	case review.Status.Error != "":
		return authenticationv1.UserInfo{}, errors.New(review.Status.Error)
	}
	return authenticationv1.UserInfo{}, errors.New("invalid bearer token")
}

// authorize returns whether a user may use a verb on a path.
func (g *guard) authorize(ctx context.Context, user authenticationv1.UserInfo, verb, path string) (authorizationv1.SubjectAccessReviewStatus, error) {
	spec := authorizationv1.SubjectAccessReviewSpec{
		User:                  user.Username,
		UID:                   user.UID,
		Groups:                user.Groups,
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: verb, Path: path},
	}
	if user.Extra != nil {
		spec.Extra = make(map[string]authorizationv1.ExtraValue, len(user.Extra))
		for name, values := range user.Extra {
			spec.Extra[name] = authorizationv1.ExtraValue(values)
		}
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return authorizationv1.SubjectAccessReviewStatus{}, err
	}
	key := sha256.Sum256(text)
	if status, ok := g.verdicts.Get(key); ok {
		return status.(authorizationv1.SubjectAccessReviewStatus), nil
	}
	review, err := retry(ctx, func(ctx context.Context) (*authorizationv1.SubjectAccessReview, error) {
		return g.access.Create(ctx, &authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
	})
	if err != nil {
		return authorizationv1.SubjectAccessReviewStatus{}, fmt.Errorf("review the access: %w", err)
	}
	ttl := deniedTTL
	if review.Status.Allowed {
		ttl = allowedTTL
	}
	g.verdicts.Add(key, review.Status, ttl)
	return review.Status, nil
}

// retry repeats a review while its error is transient. It returns the last error.
func retry[T any](ctx context.Context, review func(context.Context) (T, error)) (result T, err error) {
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	stopped := wait.ExponentialBackoffWithContext(ctx, reviewBackoff, func(ctx context.Context) (bool, error) {
		result, err = review(ctx)
		return !transient(err), nil
	})
	if err == nil {
		err = stopped
	}
	return result, err
}

func transient(err error) bool {
	_, delayed := apierrors.SuggestsClientDelay(err)
	return delayed || utilnet.IsConnectionReset(err) || utilnet.IsHTTP2ConnectionLost(err) ||
		apierrors.IsInternalError(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err)
}
