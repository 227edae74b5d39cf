package charts

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	_ "github.com/driveshare/downstream-node/controllers" // registers the operator's metrics
	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/test/deployment"
)

// series maps each metric to the names of its labels.
type series map[string][]string

// scraped are the labels that Prometheus adds to every series.
var scraped = []string{"namespace", "job", "pod", "instance", "le"}

// exported returns the metrics of a node and of the operator. It reads the operator's
// registry.
func exported(t *testing.T, node map[string]*dto.MetricFamily) series {
	t.Helper()
	all := series{}
	for name, family := range node {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				all[name] = append(all[name], label.GetName())
			}
		}
		if all[name] == nil {
			all[name] = []string{}
		}
		if family.GetType() == dto.MetricType_HISTOGRAM {
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				all[name+part] = all[name]
			}
		}
	}
	for name, names := range described(t, metrics.Registry.(prometheus.Collector)) {
		all[name] = names
	}
	return all
}

// description matches the text form of a metric's description. client_golang gives
// no other access to the name and the labels.
var (
	description = regexp.MustCompile(`fqName: "([^"]+)".*constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}`)
	constLabel  = regexp.MustCompile(`(\w+)="`)
)

func described(t *testing.T, registry prometheus.Collector) series {
	t.Helper()
	ch := make(chan *prometheus.Desc)
	go func() { registry.Describe(ch); close(ch) }()
	all := series{}
	for desc := range ch {
		parts := description.FindStringSubmatch(desc.String())
		if parts == nil {
			t.Fatalf("client_golang prints a description in another form now: %s", desc)
		}
		names := strings.FieldsFunc(parts[3], func(r rune) bool { return r == ',' })
		for _, label := range constLabel.FindAllStringSubmatch(parts[2], -1) {
			names = append(names, label[1])
		}
		all[parts[1]] = names
	}
	return all
}

// scrapeNode runs a node with a farmer until it has reached a verdict. The node has all
// that it exports metrics of only then: a certificate and a location database.
func scrapeNode(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	testenv.WriteCertificate(t, cert, key, 1)
	locations, err := filepath.Abs("../../internal/geo/testdata/london.mmdb")
	if err != nil {
		t.Fatal(err)
	}
	binary, err := deployment.Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	private := testenv.FreeAddress(t)
	ctx, cancel := context.WithCancel(t.Context())
	node := exec.CommandContext(ctx, binary, "standalone", "--data", filepath.Join(dir, "data"), "--demo", "1")
	node.Env = append(os.Environ(), "DOWNSTREAM_API_LISTEN="+testenv.FreeAddress(t), "DOWNSTREAM_API_PRIVATE_LISTEN="+private,
		"DOWNSTREAM_DATABASE_CERT_FILE="+cert, "DOWNSTREAM_DATABASE_KEY_FILE="+key, "DOWNSTREAM_GEO_FILE="+locations)
	node.Cancel = func() error { return node.Process.Signal(syscall.SIGTERM) }
	node.WaitDelay = 20 * time.Second
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = node.Wait() }() // a signal ends the process, so Wait returns an error
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		families, err := scrape("http://" + private + "/metrics")
		if err == nil && families["downstream_api_verdicts_total"] != nil && families["downstream_queue_backlog_jobs"] != nil {
			return families
		}
		if time.Now().After(deadline) {
			t.Fatalf("the node reached no verdict in two minutes: %v", err)
		}
	}
}

// olderNames are the metrics whose names break Prometheus' rules. Dashboards of the field
// use them, so they stay.
var olderNames = []string{}

// checkNames checks the node's metrics against Prometheus' rules for names, units and help
// texts.
func checkNames(t *testing.T, node map[string]*dto.MetricFamily) {
	var own []*dto.MetricFamily
	for name, family := range node {
		if strings.HasPrefix(name, "downstream_") {
			own = append(own, family)
		}
	}
	if len(own) < 30 {
		t.Errorf("only %d metrics were found", len(own))
	}
	problems, err := promlint.NewWithMetricFamilies(own).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !slices.Contains(olderNames, p.Metric) {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func scrape(url string) (map[string]*dto.MetricFamily, error) {
	resp, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text := expfmt.NewTextParser(model.LegacyValidation)
	return text.TextToMetricFamilies(resp.Body)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	node := scrapeNode(t)
	t.Run("names", func(t *testing.T) { checkNames(t, node) })
	t.Run("queries", func(t *testing.T) { checkQueries(t, exported(t, node)) })
}

// checkQueries checks that every metric and label in the dashboard and the
// alerts exists. Otherwise a panel would stay empty and an alert would never
// fire.
func checkQueries(t *testing.T, there series) {
	for where, query := range queries(t) {
		expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
		if err != nil {
			t.Errorf("%s: %v", where, err)
			continue
		}
		for _, selector := range parser.ExtractSelectors(expr) {
			name, asked := parts(selector)
			known, ok := there[name]
			if !ok {
				t.Errorf("%s: nothing exports %s", where, name)
				continue
			}
			for _, label := range asked {
				if !slices.Contains(known, label) && !slices.Contains(scraped, label) {
					t.Errorf("%s: %s has no label %s, only %v", where, name, label, known)
				}
			}
		}
		parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
			if aggregate, ok := node.(*parser.AggregateExpr); ok {
				for _, selector := range parser.ExtractSelectors(aggregate) {
					name, _ := parts(selector)
					for _, label := range aggregate.Grouping {
						if !slices.Contains(there[name], label) && !slices.Contains(scraped, label) {
							t.Errorf("%s: groups %s by the label %s, which does not exist", where, name, label)
						}
					}
				}
			}
			return nil
		})
	}
}

func parts(selector []*labels.Matcher) (name string, asked []string) {
	for _, matcher := range selector {
		if matcher.Name == model.MetricNameLabel {
			name = matcher.Value
		} else {
			asked = append(asked, matcher.Name)
		}
	}
	return name, asked
}

// queries returns every query of the dashboard and the alerts. The key names the
// panel or the alert.
func queries(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, rule := range alerts(t) {
		all["alert "+rule.Alert] = rule.Expr
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	text, err := os.ReadFile(filepath.Join(chart, "files/dashboard.json"))
	if err == nil {
		err = json.Unmarshal(text, &dashboard)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, panel := range dashboard.Panels {
		for i, target := range panel.Targets {
			query := strings.NewReplacer("$__rate_interval", "5m").Replace(target.Expr)
			all[fmt.Sprintf("panel %q, query %d", panel.Title, i)] = query
		}
	}
	if len(all) < 20 {
		t.Errorf("only %d queries were found", len(all))
	}
	return all
}

func alerts(t *testing.T) []rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile(filepath.Join(chart, "files/alerts.yaml"), false, model.LegacyValidation, parser.NewParser(parser.Options{}))
	for _, err := range errs {
		t.Error(err)
	}
	if groups == nil {
		t.FailNow()
	}
	var all []rulefmt.Rule
	for _, group := range groups.Groups {
		all = append(all, group.Rules...)
	}
	return all
}
