package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/blang/semver/v4"
	operatorversion "github.com/operator-framework/api/pkg/lib/version"
	olm "github.com/operator-framework/api/pkg/operators/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// examples are the files of config/samples in the order of the catalog. The console of
// OpenShift begins a new object with the first, so this must not be the evaluation.
var examples = []string{"minimal.yaml", "evaluation.yaml", "production.yaml"}

// input is what kustomize makes of config/manifests.
type input struct {
	base       olm.ClusterServiceVersion
	crd        apiextensionsv1.CustomResourceDefinition
	deployment appsv1.Deployment
	roles      map[string][]rbacv1.PolicyRule // by kind and name
	bindings   []rbacv1.RoleBinding           // of both kinds
	others     []*unstructured.Unstructured   // the files of the bundle besides the ClusterServiceVersion
}

func read() (*input, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "config/manifests"))
	if err != nil {
		return nil, fmt.Errorf("kustomize config/manifests: %w", err)
	}
	in := &input{roles: map[string][]rbacv1.PolicyRule{}}
	for _, resource := range resources.Resources() {
		// The types of Kubernetes decode the numbers of JSON, but not those of YAML.
		text, err := resource.MarshalJSON()
		if err != nil {
			return nil, err
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(text); err != nil {
			return nil, err
		}
		if err := in.add(object); err != nil {
			return nil, fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	// A role that the operator has becomes a part of the ClusterServiceVersion. Other
	// roles, which are for people, become files.
	for _, binding := range in.bindings {
		in.others = slices.DeleteFunc(in.others, func(object *unstructured.Unstructured) bool {
			return object.GetKind() == binding.RoleRef.Kind && object.GetName() == binding.RoleRef.Name
		})
	}
	return in, nil
}

// add takes an object. The account is left out, because OLM makes it.
func (in *input) add(object *unstructured.Unstructured) error {
	switch object.GetKind() {
	case "ClusterServiceVersion":
		return decode(object, &in.base)
	case "Deployment":
		return decode(object, &in.deployment)
	case "ServiceAccount":
		return nil
	case "RoleBinding", "ClusterRoleBinding":
		var binding rbacv1.RoleBinding // both kinds have the same fields
		err := decode(object, &binding)
		in.bindings = append(in.bindings, binding)
		return err
	case "Role", "ClusterRole":
		var role rbacv1.ClusterRole // has every field of a Role
		if err := decode(object, &role); err != nil {
			return err
		}
		in.roles[role.Kind+"/"+role.Name] = role.Rules
	case "CustomResourceDefinition":
		if err := decode(object, &in.crd); err != nil {
			return err
		}
	}
	in.others = append(in.others, object)
	return nil
}

// decode reads an object, and refuses a field that its type does not have.
func decode(object *unstructured.Unstructured, into any) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, into, true)
}

// csv fills the ClusterServiceVersion.
func (in *input) csv(o options, version semver.Version) (*olm.ClusterServiceVersion, error) {
	csv := in.base.DeepCopy()
	csv.Name = packageName + ".v" + version.String()
	csv.Spec.Version = operatorversion.OperatorVersion{Version: version}
	if o.replaces != "" {
		replaced, err := parseVersion(o.replaces)
		if err != nil {
			return nil, err
		}
		csv.Spec.Replaces = packageName + ".v" + replaced.String()
	}
	image, err := in.setImage(o.image, version)
	if err != nil {
		return nil, err
	}
	csv.Annotations["containerImage"] = image
	csv.Annotations["operatorframework.io/suggested-namespace"] = in.deployment.Namespace
	csv.Spec.RelatedImages = []olm.RelatedImage{{Name: "operator", Image: image}}
	for _, database := range []string{"mysql", "redis"} {
		image, err := in.defaultImage(database)
		if err != nil {
			return nil, err
		}
		csv.Spec.RelatedImages = append(csv.Spec.RelatedImages, olm.RelatedImage{Name: database + "-evaluation", Image: image})
	}
	if csv.Spec.InstallStrategy, err = in.install(); err != nil {
		return nil, err
	}
	if csv.Annotations["alm-examples"], err = almExamples(); err != nil {
		return nil, err
	}
	if csv.Spec.MinKubeVersion, err = minKubeVersion(); err != nil {
		return nil, err
	}
	icon, err := os.ReadFile(filepath.Join(root, "apiserver/page/assets/icon.svg"))
	if err != nil {
		return nil, err
	}
	csv.Spec.Icon = []olm.Icon{{Data: base64.StdEncoding.EncodeToString(icon), MediaType: "image/svg+xml"}}
	return csv, in.own(csv)
}

// setImage gives the operator its image, and returns it.
func (in *input) setImage(image string, version semver.Version) (string, error) {
	containers := in.deployment.Spec.Template.Spec.Containers
	if len(containers) != 1 {
		return "", fmt.Errorf("the Deployment has %d containers; say in hack/bundle which image each gets", len(containers))
	}
	if image == "" {
		tag := strings.LastIndexByte(containers[0].Image, ':')
		if tag < 0 {
			return "", fmt.Errorf("the image %s of config/manager has no tag to replace; name an image with -image", containers[0].Image)
		}
		// A tag cannot have the + of a version.
		image = containers[0].Image[:tag+1] + strings.ReplaceAll(version.String(), "+", "-")
	}
	containers[0].Image = image
	return image, nil
}

// install returns the Deployment and the rights of its account. OLM gives Permissions in
// each namespace that the operator serves, and ClusterPermissions in all namespaces.
func (in *input) install() (olm.NamedInstallStrategy, error) {
	spec := olm.StrategyDetailsDeployment{DeploymentSpecs: []olm.StrategyDeploymentSpec{{
		Name: in.deployment.Name, Spec: in.deployment.Spec, Label: in.deployment.Labels,
	}}}
	account := in.deployment.Spec.Template.Spec.ServiceAccountName
	for _, binding := range in.bindings {
		rules, ok := in.roles[binding.RoleRef.Kind+"/"+binding.RoleRef.Name]
		if !ok || len(binding.Subjects) != 1 || binding.Subjects[0].Name != account {
			return olm.NamedInstallStrategy{}, fmt.Errorf("%s %s does not bind a role of config/manifests to the operator's account %s alone", binding.Kind, binding.Name, account)
		}
		permissions := &spec.Permissions
		if binding.Kind == "ClusterRoleBinding" {
			permissions = &spec.ClusterPermissions
		}
		if len(*permissions) == 0 {
			*permissions = []olm.StrategyDeploymentPermissions{{ServiceAccountName: account}}
		}
		(*permissions)[0].Rules = append((*permissions)[0].Rules, rules...)
	}
	return olm.NamedInstallStrategy{StrategyName: olm.InstallStrategyNameDeployment, StrategySpec: spec}, nil
}

// own completes the owned CRD: the descriptions of its fields, and its other versions.
func (in *input) own(csv *olm.ClusterServiceVersion) error {
	owned := csv.Spec.CustomResourceDefinitions.Owned
	if len(owned) != 1 || owned[0].Name != in.crd.Name {
		return fmt.Errorf("the base must own %s and nothing else", in.crd.Name)
	}
	if !slices.ContainsFunc(in.crd.Spec.Versions, func(version apiextensionsv1.CustomResourceDefinitionVersion) bool {
		return version.Name == owned[0].Version
	}) {
		return fmt.Errorf("the CRD has no version %s; correct config/manifests/bases", owned[0].Version)
	}
	for _, version := range in.crd.Spec.Versions {
		if version.Name == owned[0].Version {
			if err := describe(&owned[0], version.Schema.OpenAPIV3Schema); err != nil {
				return err
			}
			continue
		}
		owned = append(owned, olm.CRDDescription{
			Name: in.crd.Name, Kind: in.crd.Spec.Names.Kind, Version: version.Name,
			DisplayName: owned[0].DisplayName + " (" + version.Name + ")",
			Description: ptr.Deref(version.DeprecationWarning, ""),
		})
	}
	csv.Spec.CustomResourceDefinitions.Owned = owned
	return nil
}

// describe copies the descriptions of the schema.
func describe(owned *olm.CRDDescription, schema *apiextensionsv1.JSONSchemaProps) error {
	descriptions := map[string]*string{}
	for i := range owned.SpecDescriptors {
		descriptions["spec."+owned.SpecDescriptors[i].Path] = &owned.SpecDescriptors[i].Description
	}
	for i := range owned.StatusDescriptors {
		descriptions["status."+owned.StatusDescriptors[i].Path] = &owned.StatusDescriptors[i].Description
	}
	for path, description := range descriptions {
		field, err := fieldAt(schema, path)
		if err != nil {
			return err
		}
		*description = oneLine(field.Description)
	}
	owned.Description = oneLine(schema.Description)
	return nil
}

// fieldAt returns the schema of the field at a path.
func fieldAt(schema *apiextensionsv1.JSONSchemaProps, path string) (*apiextensionsv1.JSONSchemaProps, error) {
	for name := range strings.SplitSeq(path, ".") {
		field, ok := schema.Properties[name]
		if !ok {
			return nil, fmt.Errorf("the CRD has no field %s; correct the descriptor in config/manifests/bases", path)
		}
		schema = &field
	}
	return schema, nil
}

// defaultImage returns the image of an evaluation database.
func (in *input) defaultImage(database string) (string, error) {
	field, err := fieldAt(in.crd.Spec.Versions[0].Schema.OpenAPIV3Schema, "spec."+database+".evaluation.image")
	if err != nil {
		return "", err
	}
	if field.Default == nil {
		return "", fmt.Errorf("the image of the evaluation %s has no default", database)
	}
	var image string
	return image, json.Unmarshal(field.Default.Raw, &image)
}

// almExamples returns the samples as a JSON list.
func almExamples() (string, error) {
	var list []json.RawMessage
	for _, name := range examples {
		text, err := os.ReadFile(filepath.Join(root, "config/samples", name))
		if err != nil {
			return "", err
		}
		sample, err := yaml.YAMLToJSONStrict(text)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		list = append(list, sample)
	}
	text, err := json.MarshalIndent(list, "", "  ")
	return string(text), err
}

// minKubeVersion returns the oldest version of Kubernetes, as the chart says it.
func minKubeVersion() (string, error) {
	text, err := os.ReadFile(filepath.Join(root, "charts/downstream-node/Chart.yaml"))
	if err != nil {
		return "", err
	}
	var chart struct{ KubeVersion string }
	if err := yaml.Unmarshal(text, &chart); err != nil {
		return "", fmt.Errorf("read Chart.yaml: %w", err)
	}
	version, ok := strings.CutPrefix(chart.KubeVersion, ">=")
	if !ok {
		return "", errors.New("kubeVersion of Chart.yaml is not of the form >=1.30.0-0")
	}
	return strings.TrimSuffix(version, "-0"), nil
}

// manifest writes the ClusterServiceVersion without the status, which belongs to OLM.
func manifest(csv *olm.ClusterServiceVersion) ([]byte, error) {
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(csv)
	if err != nil {
		return nil, err
	}
	delete(object, "status")
	return yaml.Marshal(object)
}

// fileName names an object's file as operator-sdk does.
func fileName(object *unstructured.Unstructured) string {
	if object.GetKind() == "CustomResourceDefinition" {
		plural, group, _ := strings.Cut(object.GetName(), ".")
		return group + "_" + plural + ".yaml"
	}
	version := strings.ReplaceAll(object.GetAPIVersion(), "/", "_")
	return strings.ToLower(object.GetName() + "_" + version + "_" + object.GetKind() + ".yaml")
}

// oneLine joins the lines of a text.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
