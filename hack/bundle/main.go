// Command bundle makes the OLM bundle, from which the Operator Lifecycle Manager (part of
// OpenShift) installs the operator:
//
//	make bundle VERSION=1.2.3
//
// The bundle follows from config/manifests, config/samples, the CRD, the chart's oldest
// version of Kubernetes and the page's icon. It is not committed, because its version and
// its image change with every release.
//
// This is a separate module, because the libraries that check the bundle take minutes to
// build. The default paths are relative to hack/bundle.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/blang/semver/v4"
	"sigs.k8s.io/yaml"
)

// root is the repository, from this directory.
const root = "../.."

// packageName is the name of the operator in a catalog of OLM.
const packageName = "downstream-node"

// options are the inputs of a bundle.
type options struct {
	version  string
	image    string // if empty, that of config/manager with the version as its tag
	replaces string // if empty, the bundle replaces none
	channels string
	output   string
}

func main() {
	var o options
	flag.StringVar(&o.version, "version", "", "version of the operator, such as 1.2.3")
	flag.StringVar(&o.image, "image", "", "image of the operator; if empty, the image of config/manager with the version as its tag")
	flag.StringVar(&o.replaces, "replaces", "", "version that this one replaces in the catalog, if any")
	flag.StringVar(&o.channels, "channels", "stable", "channels of the catalog, separated by commas; the first is the default")
	flag.StringVar(&o.output, "output", root+"/dist/bundle", "directory to write")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}

// run writes the bundle.
func run(o options) error {
	files, err := generate(o)
	if err != nil {
		return err
	}
	// A file of an earlier bundle would become part of this one.
	for _, dir := range []string{"manifests", "metadata"} {
		if err := os.RemoveAll(filepath.Join(o.output, dir)); err != nil {
			return err
		}
	}
	return write(o.output, files)
}

// write writes files below a directory, and prints their names.
func write(dir string, files map[string][]byte) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(path, files[name], 0o666); err != nil {
			return err
		}
		fmt.Println(path)
	}
	return nil
}

// generate returns the files of the bundle by their names.
func generate(o options) (map[string][]byte, error) {
	version, err := parseVersion(o.version)
	if err != nil {
		return nil, err
	}
	in, err := read()
	if err != nil {
		return nil, err
	}
	csv, err := in.csv(o, version)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	if files["manifests/"+packageName+".clusterserviceversion.yaml"], err = manifest(csv); err != nil {
		return nil, err
	}
	for _, object := range in.others {
		// OLM installs the objects into the namespace of the operator.
		object.SetNamespace("")
		if files["manifests/"+fileName(object)], err = yaml.Marshal(object.Object); err != nil {
			return nil, err
		}
	}
	annotations := annotationsOf(o.channels)
	if files["metadata/annotations.yaml"], err = yaml.Marshal(map[string]any{"annotations": annotations}); err != nil {
		return nil, err
	}
	files["bundle.Dockerfile"] = dockerfile(annotations)
	return files, nil
}

// parseVersion reads a version that may begin with v, as the tag of a release does.
func parseVersion(text string) (semver.Version, error) {
	version, err := semver.Parse(strings.TrimPrefix(text, "v"))
	if err != nil {
		return version, fmt.Errorf("the version %q is not a semantic version (%w); write make bundle VERSION=1.2.3", text, err)
	}
	return version, nil
}

// annotationsOf returns the annotations by which OLM and catalogs find the parts of a bundle.
func annotationsOf(channels string) map[string]string {
	first, _, _ := strings.Cut(channels, ",")
	const prefix = "operators.operatorframework.io.bundle."
	return map[string]string{
		prefix + "mediatype.v1":       "registry+v1",
		prefix + "manifests.v1":       "manifests/",
		prefix + "metadata.v1":        "metadata/",
		prefix + "package.v1":         packageName,
		prefix + "channels.v1":        channels,
		prefix + "channel.default.v1": first,
	}
}

// dockerfile builds the image of the bundle. Its labels repeat the annotations, because
// catalogs read the labels.
func dockerfile(annotations map[string]string) []byte {
	var out strings.Builder
	out.WriteString("FROM scratch\n")
	for _, name := range slices.Sorted(maps.Keys(annotations)) {
		fmt.Fprintf(&out, "LABEL %s=%s\n", name, annotations[name])
	}
	out.WriteString("COPY manifests /manifests/\nCOPY metadata /metadata/\n")
	return []byte(out.String())
}
