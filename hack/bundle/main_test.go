package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/operator-framework/api/crds"
	"github.com/operator-framework/api/pkg/manifests"
	olm "github.com/operator-framework/api/pkg/operators/v1alpha1"
	"github.com/operator-framework/api/pkg/validation"
	interfaces "github.com/operator-framework/api/pkg/validation/interfaces"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	schemavalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"sigs.k8s.io/yaml"
)

const (
	csvFile = "manifests/downstream-node.clusterserviceversion.yaml"
	crdFile = "manifests/downstream.driveshare.org_downstreamnodes.yaml"
)

// made returns the files of a bundle.
func made(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := generate(options{version: "v1.2.3", replaces: "1.2.2", channels: "stable,candidate"})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// load writes a bundle and reads it as OLM's tools do.
func load(t *testing.T, files map[string][]byte) (*manifests.Bundle, string) {
	t.Helper()
	dir := t.TempDir()
	if err := write(dir, files); err != nil {
		t.Fatal(err)
	}
	bundle, err := manifests.GetBundleFromDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return bundle, dir
}

// validators are the checks of OLM and OperatorHub that need no registry and are not
// deprecated.
var validators = interfaces.Validators{
	validation.ClusterServiceVersionValidator, validation.CustomResourceDefinitionValidator, validation.BundleValidator,
	validation.OperatorHubV2Validator, validation.StandardCapabilitiesValidator, validation.StandardCategoriesValidator,
	validation.ObjectValidator, validation.GoodPracticesValidator, validation.AlphaDeprecatedAPIsValidator,
}

// problems returns the errors and the warnings of the validators, and the fields of the
// ClusterServiceVersion that contradict its schema.
func problems(t *testing.T, bundle *manifests.Bundle, csv []byte) []string {
	t.Helper()
	out := schemaProblems(t, csv)
	for _, result := range validators.Validate(bundle.ObjectsToValidate()...) {
		for _, problem := range append(result.Errors, result.Warnings...) {
			// The samples are of the version that is not deprecated.
			if problem.Detail == "provided API should have an example annotation" && strings.Contains(problem.Error(), "v1alpha1") {
				continue
			}
			out = append(out, problem.Error())
		}
	}
	return out
}

// schemaProblems compares a ClusterServiceVersion with the schema of OLM's CRD. Unknown
// fields are problems too, although an API server only drops them.
func schemaProblems(t *testing.T, csv []byte) []string {
	t.Helper()
	var object map[string]any
	if err := yaml.Unmarshal(csv, &object); err != nil {
		t.Fatal(err)
	}
	var schema apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(
		crds.ClusterServiceVersion().Spec.Versions[0].Schema.OpenAPIV3Schema, &schema, nil); err != nil {
		t.Fatal(err)
	}
	validator, _, err := schemavalidation.NewSchemaValidator(&schema)
	if err != nil {
		t.Fatal(err)
	}
	structural, err := structuralschema.NewStructural(&schema)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, problem := range schemavalidation.ValidateCustomResource(nil, object, validator) {
		out = append(out, problem.Error())
	}
	for _, path := range pruning.PruneWithOptions(object, structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		out = append(out, "unknown field "+path)
	}
	return out
}

func TestBundleIsValid(t *testing.T) {
	t.Parallel()
	files := made(t)
	bundle, dir := load(t, files)
	for _, problem := range problems(t, bundle, files[csvFile]) {
		t.Error(problem)
	}
	if bundle.Package != packageName || !slices.Equal(bundle.Channels, []string{"stable", "candidate"}) || bundle.DefaultChannel != "stable" {
		t.Errorf("the annotations say package %q, channels %q, default %q", bundle.Package, bundle.Channels, bundle.DefaultChannel)
	}
	for _, copied := range []string{"manifests", "metadata"} {
		if entries, err := os.ReadDir(filepath.Join(dir, copied)); err != nil || len(entries) == 0 {
			t.Errorf("the Dockerfile copies %s, which has no files: %v", copied, err)
		}
	}
	if again := made(t); !reflect.DeepEqual(files, again) {
		t.Error("two bundles of the same inputs differ")
	}
}

// TestProblemsAreFound checks the checks: each case breaks the bundle.
func TestProblemsAreFound(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		file, old, new string // an empty old deletes the file
		want           string
	}{
		"no CRD":                      {crdFile, "", "", `owned CRD "downstream.driveshare.org/v1, Kind=DownstreamNode" not found`},
		"version that the CRD lacks":  {csvFile, "version: v1alpha1\n", "version: v1alpha2\n", "v1alpha2, Kind=DownstreamNode"},
		"example of another kind":     {csvFile, `"kind": "DownstreamNode"`, `"kind": "Farm"`, "example must have a provided API"},
		"misspelt field":              {csvFile, "minKubeVersion:", "minKubernetesVersion:", "unknown field spec.minKubernetesVersion"},
		"field of the wrong type":     {csvFile, "installModes:", "installModes: all\n  modes:", "spec.installModes"},
		"no install mode":             {csvFile, "- supported: true", "- supported: false", "none of InstallModeTypes are supported"},
		"unknown category":            {csvFile, "categories: Storage", "categories: Farming", "Farming"},
		"disruption budget of zero":   {"manifests/downstream-operator_policy_v1_poddisruptionbudget.yaml", "maxUnavailable: 1", "maxUnavailable: 0", "maxUnavailable"},
		"image that cannot be pulled": {csvFile, "image: redis:8", "image: Redis 8", "relatedImages"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := made(t)
			if !bytes.Contains(files[tt.file], []byte(tt.old)) {
				t.Fatalf("%s does not contain %q", tt.file, tt.old)
			}
			files[tt.file] = bytes.ReplaceAll(files[tt.file], []byte(tt.old), []byte(tt.new))
			if tt.old == "" {
				delete(files, tt.file)
			}
			if schema := schemaProblems(t, files[csvFile]); len(schema) > 0 {
				// OLM's types may not be able to hold what contradicts the schema.
				if !strings.Contains(strings.Join(schema, "\n"), tt.want) {
					t.Errorf("want %q, got %q", tt.want, schema)
				}
				return
			}
			bundle, _ := load(t, files)
			if got := problems(t, bundle, files[csvFile]); !strings.Contains(strings.Join(got, "\n"), tt.want) {
				t.Errorf("want %q, got %q", tt.want, got)
			}
		})
	}
}

func TestClusterServiceVersion(t *testing.T) {
	t.Parallel()
	bundle, _ := load(t, made(t))
	csv := bundle.CSV
	if csv.Name != "downstream-node.v1.2.3" || csv.Spec.Replaces != "downstream-node.v1.2.2" {
		t.Errorf("%s replaces %s", csv.Name, csv.Spec.Replaces)
	}
	deployments := csv.Spec.InstallStrategy.StrategySpec.DeploymentSpecs
	if len(deployments) != 1 {
		t.Fatalf("%d Deployments", len(deployments))
	}
	container := deployments[0].Spec.Template.Spec.Containers[0]
	if want := "ghcr.io/driveshare/downstream-node:1.2.3"; container.Image != want || csv.Spec.RelatedImages[0].Image != want || csv.Annotations["containerImage"] != want {
		t.Errorf("the image is %s, the related images are %v", container.Image, csv.Spec.RelatedImages)
	}
	for _, related := range csv.Spec.RelatedImages {
		if related.Image == "" {
			t.Errorf("no image for %s", related.Name)
		}
	}
	// The operator serves the namespaces that OLM's annotation names.
	namespaces := slices.IndexFunc(container.Env, func(e corev1.EnvVar) bool {
		return e.Name == "TARGET_NAMESPACES" && e.ValueFrom != nil && e.ValueFrom.FieldRef.FieldPath == "metadata.annotations['olm.targetNamespaces']"
	})
	if namespaces < 0 || !slices.Contains(container.Args, "--namespaces=$(TARGET_NAMESPACES)") || !slices.Contains(container.Args, "--leader-elect") {
		t.Errorf("arguments %q, environment %v", container.Args, container.Env)
	}
	owned := csv.Spec.CustomResourceDefinitions.Owned
	if len(owned) != 2 || owned[0].Version != "v1" || owned[1].Version != "v1alpha1" || !strings.Contains(owned[1].Description, "deprecated") {
		t.Errorf("owned are %+v", owned)
	}
	if owned[0].Description == "" || !strings.HasPrefix(owned[0].SpecDescriptors[0].Description, "The number of replicas. ") {
		t.Errorf("the descriptions are not the CRD's: %q, %+v", owned[0].Description, owned[0].SpecDescriptors[0])
	}
	for _, d := range owned[0].SpecDescriptors {
		if d.Description == "" {
			t.Errorf("the descriptor of %s has no description", d.Path)
		}
	}
	samples, err := filepath.Glob(root + "/config/samples/*.yaml")
	if err != nil || len(samples) != len(examples)+1 { // and kustomization.yaml
		t.Errorf("config/samples has %q, and the bundle shows %q: %v", samples, examples, err)
	}
}

// TestRights checks that an operator for some namespaces reads no Secret of another one.
func TestRights(t *testing.T) {
	t.Parallel()
	bundle, _ := load(t, made(t))
	resources := func(permissions []olm.StrategyDeploymentPermissions) (out []string) {
		for _, permission := range permissions {
			for _, rule := range permission.Rules {
				out = append(out, rule.Resources...)
			}
		}
		return out
	}
	strategy := bundle.CSV.Spec.InstallStrategy.StrategySpec
	if got := resources(strategy.ClusterPermissions); !slices.Equal(got, []string{"tokenreviews", "subjectaccessreviews"}) {
		t.Errorf("in all namespaces the operator has %q", got)
	}
	for _, needed := range []string{"secrets", "deployments", "downstreamnodes", "leases", "pods"} {
		if !slices.Contains(resources(strategy.Permissions), needed) {
			t.Errorf("in its namespaces the operator has no right to %s", needed)
		}
	}
	var files []string
	for _, object := range bundle.Objects {
		files = append(files, object.GetKind()+"/"+object.GetName())
		if object.GetNamespace() != "" {
			t.Errorf("%s names a namespace", object.GetName())
		}
	}
	slices.Sort(files)
	want := []string{
		"ClusterRole/downstream-metrics-reader", "ClusterRole/downstream-node-admin", "ClusterRole/downstream-node-editor",
		"ClusterRole/downstream-node-viewer", "ClusterServiceVersion/downstream-node.v1.2.3",
		"CustomResourceDefinition/downstreamnodes.downstream.driveshare.org", "PodDisruptionBudget/downstream-operator",
		"Service/downstream-operator-metrics",
	}
	if !slices.Equal(files, want) {
		t.Errorf("objects\n%s\nwant\n%s", strings.Join(files, "\n"), strings.Join(want, "\n"))
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]options{
		"no version":               {},
		"commit as version":        {version: "2d85248-dirty"},
		"replaces no version":      {version: "1.2.3", replaces: "yesterday"},
		"version with two numbers": {version: "1.2"},
	} {
		if _, err := generate(o); err == nil || !strings.Contains(err.Error(), "write make bundle VERSION=1.2.3") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for want, change := range map[string]func(*olm.CRDDescription){
		"no field spec.api.replica":        func(owned *olm.CRDDescription) { owned.SpecDescriptors[0].Path = "api.replica" },
		"no field status.api.readyReplica": func(owned *olm.CRDDescription) { owned.StatusDescriptors[0].Path = "api.readyReplica" },
		"has no version v2":                func(owned *olm.CRDDescription) { owned.Version = "v2" },
		"and nothing else":                 func(owned *olm.CRDDescription) { owned.Name = "farms.driveshare.org" },
	} {
		in, err := read()
		if err != nil {
			t.Fatal(err)
		}
		change(&in.base.Spec.CustomResourceDefinitions.Owned[0])
		if err := in.own(&in.base); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// TestOldFilesAreRemoved makes a bundle over an older one.
func TestOldFilesAreRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := write(dir, map[string][]byte{"manifests/old.yaml": nil}); err != nil {
		t.Fatal(err)
	}
	if err := run(options{version: "1.2.3", image: "localhost/node@sha256:" + strings.Repeat("0", 64), channels: "stable", output: dir}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "manifests/old.yaml")); !os.IsNotExist(err) {
		t.Errorf("the old file is still there: %v", err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, csvFile)); err != nil || !bytes.Contains(text, []byte("localhost/node@sha256:")) {
		t.Errorf("the bundle has another image: %v", err)
	}
}
