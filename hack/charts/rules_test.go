package charts

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// ofNode replaces $ in the series of a test.
const ofNode = `{namespace="farm",job="n",instance="a"`

// TestAlertsFire evaluates the alerts on series in the language of Prometheus' own tests,
// with one point a minute from the time 0. "0+60x420" is a counter that grows by 60 a
// minute for 420 minutes.
func TestAlertsFire(t *testing.T) {
	t.Parallel()
	const within, never = `downstream_api_proofs_total$,decided="within_5s"} `, `downstream_api_proofs_total$,decided="never"} `
	for _, tt := range []struct {
		name   string
		series []string
		at     time.Duration
		fires  []string // the alerts among those whose series exist
	}{
		{
			"all proofs in time",
			[]string{within + "0+1000x420", never + "0x420"},
			7 * time.Hour, nil,
		},
		{
			"no proofs at all",
			[]string{within + "0x420", never + "0x420"},
			7 * time.Hour, nil,
		},
		{
			"as many late proofs as the objective permits",
			[]string{within + "0+999x420", never + "0+1x420"},
			7 * time.Hour, nil,
		},
		{
			"one in a hundred late, for hours",
			[]string{within + "0+990x420", never + "0+10x420"},
			7 * time.Hour,
			[]string{"DownstreamProofsLateSlow"},
		},
		{
			"one in ten late, for half an hour",
			[]string{within + "0+1000x390 390000+900x30", never + "0x390 0+100x30"},
			7 * time.Hour,
			[]string{"DownstreamProofsLateFast", "DownstreamProofsLateSlow"},
		},
		{
			"half an hour after all were late",
			[]string{within + "0+1000x330 330000x30 330000+1000x60", never + "0x330 0+1000x30 30000x60"},
			7 * time.Hour, nil,
		},
		{
			"no proof decided for ten minutes, on a node that is an hour old",
			[]string{within + "0+10x50 500x10", never + "0x50 0+10x10"},
			time.Hour,
			[]string{"DownstreamProofsLateFast", "DownstreamProofsLateSlow"},
		},
		{
			"an empty inventory",
			[]string{"downstream_inventory_chunks$} 0x10"},
			10 * time.Minute,
			[]string{"DownstreamInventoryEmpty"},
		},
		{
			"a worker that has not looked at the inventory since it was filled",
			[]string{"downstream_inventory_chunks$} 0x10", `downstream_inventory_chunks{namespace="farm",job="n",instance="b"} 5x10`},
			10 * time.Minute, nil,
		},
		{
			"a certificate with 13 days",
			[]string{`downstream_certificate_expiry_timestamp_seconds$,certificate="api"} 1123200x10`},
			time.Minute,
			[]string{"DownstreamCertificateExpires"},
		},
		{
			"a certificate that has expired",
			[]string{`downstream_certificate_expiry_timestamp_seconds$,certificate="api"} 30x10`},
			time.Minute,
			[]string{"DownstreamCertificateExpires"},
		},
		{
			"a certificate with 15 days",
			[]string{`downstream_certificate_expiry_timestamp_seconds$,certificate="api"} 1296060x10`},
			time.Minute, nil,
		},
		{
			"a clock that is behind",
			[]string{"downstream_clock_offset_seconds$} -1.5x10"},
			time.Minute,
			[]string{"DownstreamClockOffset"},
		},
		{
			"clocks that agree",
			[]string{"downstream_clock_offset_seconds$} 0.2x10"},
			time.Minute, nil,
		},
		{
			"a location database of 36 days",
			[]string{"downstream_geo_database_build_timestamp_seconds$} 60x51840"},
			36*24*time.Hour + time.Minute,
			[]string{"DownstreamLocationsOld"},
		},
		{
			"a location database of 34 days",
			[]string{"downstream_geo_database_build_timestamp_seconds$} 60x51840"},
			34 * 24 * time.Hour, nil,
		},
		{
			"two versions of a node",
			[]string{`downstream_build_info$,version="1"} 1x10`, `downstream_build_info{namespace="farm",job="n",instance="b",version="2"} 1x10`},
			time.Minute,
			[]string{"DownstreamVersionsDiffer"},
		},
		{
			"two processes of one version, and another node",
			[]string{
				`downstream_build_info$,version="1"} 1x10`, `downstream_build_info{namespace="farm",job="n",instance="b",version="1"} 1x10`,
				`downstream_build_info{namespace="farm",job="m",instance="c",version="2"} 1x10`,
			},
			time.Minute, nil,
		},
		{
			"few requests that fail", // the alert has no budget
			[]string{`downstream_api_requests_total$,status="200"} 0+100x10`, `downstream_api_requests_total$,status="503"} 0+3x10`}, 10 * time.Minute, nil,
		},
		{
			"one request in ten that fails",
			[]string{`downstream_api_requests_total$,status="200"} 0+90x10`, `downstream_api_requests_total$,status="503"} 0+10x10`},
			10 * time.Minute,
			[]string{"DownstreamAPIErrors"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			series := load(t, tt.series)
			engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1_000_000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute})
			var fires []string
			for _, rule := range alerts(t) {
				query, err := engine.NewInstantQuery(t.Context(), series, promql.NewPrometheusQueryOpts(false, 0), rule.Expr, time.Unix(0, 0).Add(tt.at))
				if err != nil {
					t.Fatalf("%s: %v", rule.Alert, err)
				}
				result, err := query.Exec(t.Context()).Vector()
				if err != nil {
					t.Fatalf("%s: %v", rule.Alert, err)
				}
				if len(result) > 0 {
					fires = append(fires, rule.Alert)
				}
				query.Close()
			}
			if !slices.Equal(fires, tt.fires) {
				t.Errorf("%v fire, want %v", fires, tt.fires)
			}
		})
	}
}

// load returns a storage with the series, with one point a minute.
func load(t *testing.T, texts []string) storage.Queryable {
	t.Helper()
	var all []promql.Series
	for _, text := range texts {
		metric, values, err := parser.NewParser(parser.Options{}).ParseSeriesDesc(strings.ReplaceAll(text, "$", ofNode))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		series := promql.Series{Metric: metric}
		for i, v := range values {
			series.Floats = append(series.Floats, promql.FPoint{T: time.Duration(i * int(time.Minute)).Milliseconds(), F: v.Value})
		}
		all = append(all, series)
	}
	slices.SortFunc(all, func(a, b promql.Series) int { return labels.Compare(a.Metric, b.Metric) })
	return &storage.MockQueryable{MockQuerier: &storage.MockQuerier{
		SelectMockFunction: func(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
			var selected seriesSet
			for _, series := range all {
				if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(series.Metric.Get(m.Name)) }) {
					selected.next = append(selected.next, series)
				}
			}
			return &selected
		},
	}}
}

// seriesSet is the result of a selection.
type seriesSet struct {
	current promql.Series
	next    []promql.Series
}

func (s *seriesSet) Next() bool {
	if len(s.next) == 0 {
		return false
	}
	s.current, s.next = s.next[0], s.next[1:]
	return true
}

func (s *seriesSet) At() storage.Series                { return promql.NewStorageSeries(s.current) }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }
