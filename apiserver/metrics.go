package apiserver

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/driveshare/downstream-node/internal/node"
)

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	limited  prometheus.Counter
	refused  prometheus.Counter
	verdicts *prometheus.CounterVec
	lost     prometheus.Counter
	contract prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "downstream_api_requests_total",
			Help: "Requests answered, by route and HTTP status (499: the connection was cut first).",
		}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "downstream_api_request_seconds",
			Help:    "Time from a request's arrival to the end of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 11),
		}, []string{"route"}),
		limited: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "downstream_api_rate_limited_total",
			Help: "Requests refused because an address or a token asked too often.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "downstream_api_overload_refused_total",
			Help: "Requests refused because api.maxInFlight others were running.",
		}),
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "downstream_api_verdicts_total",
			Help: "Outcomes told to farmers, by outcome.",
		}, []string{"outcome"}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "downstream_api_lost_replies_total",
			Help: "Jobs whose reply did not come in time, so that the records were asked instead.",
		}),
		contract: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "downstream_api_contracts_total",
			Help: "Contracts handed out.",
		}),
	}
	reg.MustRegister(m.requests, m.seconds, m.limited, m.refused, m.verdicts, m.lost, m.contract)
	return m
}

// told counts what a farmer is told of its proofs.
func (m *metrics) told(outcomes []node.Outcome) {
	var times [math.MaxUint8 + 1]int
	for _, outcome := range outcomes {
		times[outcome]++
	}
	for outcome, n := range times {
		if n > 0 {
			m.verdicts.WithLabelValues(node.Outcome(outcome).String()).Add(float64(n))
		}
	}
}
