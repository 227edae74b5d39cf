package apiserver

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/driveshare/downstream-node/internal/node"
)

type metrics struct {
	requests                                *prometheus.CounterVec
	seconds                                 *prometheus.HistogramVec
	verdicts                                *prometheus.CounterVec
	within5s, later, never                  prometheus.Counter // of downstream_api_proofs_total
	limited, refused, lostReplies, contract prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	auto := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return auto.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	decided := auto.NewCounterVec(prometheus.CounterOpts{
		Name: "downstream_api_proofs_total",
		Help: "Proofs, by whether the node decided on them within 5 seconds of their arrival (within_5s), later (later), or not at all in their request (never).",
	}, []string{"decided"})
	return &metrics{
		within5s: decided.WithLabelValues("within_5s"),
		later:    decided.WithLabelValues("later"),
		never:    decided.WithLabelValues("never"),
		requests: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "downstream_api_requests_total",
			Help: "Responses, by route and HTTP status (499: the connection broke before the response).",
		}, []string{"route", "status"}),
		seconds: auto.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "downstream_api_request_seconds",
			Help:    "Time from a request's arrival to the end of its response.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 11),
		}, []string{"route"}),
		verdicts: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "downstream_api_verdicts_total",
			Help: "Outcomes sent to farmers, by outcome.",
		}, []string{"outcome"}),
		limited:     counter("downstream_api_rate_limited_total", "Requests refused by the rate limit of an IP address or a token."),
		refused:     counter("downstream_api_overload_refused_total", "Requests refused because api.maxInFlight requests were already in flight."),
		lostReplies: counter("downstream_api_lost_replies_total", "Jobs whose reply did not arrive in time; the API read the outcomes from the database instead."),
		contract:    counter("downstream_api_contracts_total", "Contracts handed out."),
	}
}

// decisionTarget is the time within which the node should decide on a proof. The label
// within_5s names it. The alerts expect it of 99.9 % of all proofs.
const decisionTarget = 5 * time.Second

// countVerdicts counts the outcomes in a response.
func (m *metrics) countVerdicts(outcomes []node.Outcome) {
	var counts [math.MaxUint8 + 1]int
	for _, outcome := range outcomes {
		counts[outcome]++
	}
	for outcome, n := range counts {
		if n > 0 {
			m.verdicts.WithLabelValues(node.Outcome(outcome).String()).Add(float64(n))
		}
	}
}
