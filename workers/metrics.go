package workers

import "github.com/prometheus/client_golang/prometheus"

type verifierMetrics struct {
	verdicts *prometheus.CounterVec
	late     prometheus.Counter
	buried   prometheus.Counter

	// The stages of a job, in seconds.
	waited, verify, commit, reply prometheus.Observer
}

func newVerifierMetrics(reg prometheus.Registerer) *verifierMetrics {
	stages := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "downstream_worker_stage_seconds",
		Help:    "Time of each stage: wait (from the farmer's answer to a worker's slot) and verify by job, commit and reply by batch of jobs.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 3, 12),
	}, []string{"stage"})
	m := &verifierMetrics{
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "downstream_worker_verdicts_total",
			Help: "Answers judged, by outcome.",
		}, []string{"outcome"}),
		late: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "downstream_worker_late_jobs_total",
			Help: "Jobs acknowledged without judging because their deadline had passed.",
		}),
		buried: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "downstream_worker_dead_letters_total",
			Help: "Jobs put aside because judging them failed in a way that trying again would not mend.",
		}),
		waited: stages.WithLabelValues("wait"),
		verify: stages.WithLabelValues("verify"),
		commit: stages.WithLabelValues("commit"),
		reply:  stages.WithLabelValues("reply"),
	}
	reg.MustRegister(m.verdicts, m.late, m.buried, stages)
	return m
}
