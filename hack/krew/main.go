// Command krew packs kubectl-downstream for krew, the manager of kubectl's plugins: an
// archive for each platform, and the manifest downstream.yaml.
//
//	make krew VERSION=1.2.3
//
// The same binaries make the same archives. The default paths are relative to hack/.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"golang.org/x/mod/semver"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/krew/pkg/constants"
	"sigs.k8s.io/krew/pkg/index"
	"sigs.k8s.io/yaml"

	"github.com/driveshare/downstream-node/hack/archive"
)

const (
	pluginName = "downstream" // kubectl downstream
	binaryName = "kubectl-downstream"
	homepage   = "https://github.com/driveshare/downstream-node"
)

// options are the inputs of the archives and the manifest.
type options struct {
	binaries string
	license  string
	version  string
	uri      string
	output   string
}

func main() {
	var o options
	flag.StringVar(&o.binaries, "binaries", "../dist/plugin", "directory with the binaries, as OS/ARCHITECTURE/"+binaryName)
	flag.StringVar(&o.license, "license", "../LICENSE", "license file")
	flag.StringVar(&o.version, "version", "", "version of the plugin, such as 1.2.3")
	flag.StringVar(&o.uri, "uri", homepage+"/releases/download/{{.Version}}/{{.Archive}}",
		"template of the archives' addresses; Version begins with v, Archive is the name of the file")
	flag.StringVar(&o.output, "output", "../dist/krew", "directory to write")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "krew:", err)
		os.Exit(1)
	}
}

// run writes the archives and the manifest, and prints their names.
func run(o options) error {
	version := "v" + strings.TrimPrefix(o.version, "v")
	if semver.Canonical(version)+semver.Build(version) != version {
		return fmt.Errorf("the version %q is not a semantic version; write make krew VERSION=1.2.3", o.version)
	}
	uri, err := template.New("uri").Option("missingkey=error").Parse(o.uri)
	if err != nil {
		return fmt.Errorf("read -uri: %w", err)
	}
	license, err := os.ReadFile(o.license)
	if err != nil {
		return err
	}
	binaries, err := filepath.Glob(filepath.Join(o.binaries, "*", "*", binaryName+"*"))
	if err != nil {
		return err
	}
	if len(binaries) == 0 {
		return fmt.Errorf("%s has no binary; run make krew, which builds them", o.binaries)
	}
	slices.Sort(binaries)
	if err := os.MkdirAll(o.output, 0o777); err != nil {
		return err
	}
	var platforms []index.Platform
	for _, binary := range binaries {
		platform, err := pack(o, uri, version, binary, license)
		if err != nil {
			return fmt.Errorf("pack %s: %w", binary, err)
		}
		platforms = append(platforms, platform)
	}
	text, err := yaml.Marshal(plugin(version, platforms))
	if err != nil {
		return err
	}
	return write(o.output, pluginName+constants.ManifestExtension, text)
}

// write writes a file and prints its name.
func write(dir, name string, content []byte) error {
	path := filepath.Join(dir, name)
	fmt.Println(path)
	return os.WriteFile(path, content, 0o666)
}

// plugin returns the manifest.
func plugin(version string, platforms []index.Platform) index.Plugin {
	return index.Plugin{
		TypeMeta:   metav1.TypeMeta{APIVersion: constants.CurrentAPIVersion, Kind: constants.PluginKind},
		ObjectMeta: metav1.ObjectMeta{Name: pluginName},
		Spec: index.PluginSpec{
			Version:          version,
			Homepage:         homepage,
			ShortDescription: "Look after proof-of-storage nodes",
			Description: "Shows the nodes of the downstream-node operator, their farmers and their heartbeat keys,\n" +
				"and pauses nodes, plans their maintenance and replaces their keys.\n" +
				"The cluster needs the operator of " + homepage + ".\n",
			Platforms: platforms,
		},
	}
}

// pack writes the archive of one binary.
func pack(o options, uri *template.Template, version, binary string, license []byte) (index.Platform, error) {
	content, err := os.ReadFile(binary)
	if err != nil {
		return index.Platform{}, err
	}
	dir, name := filepath.Split(binary)
	arch := filepath.Base(dir)
	system := filepath.Base(filepath.Dir(filepath.Clean(dir)))
	ending, packed, err := archive.Pack(system, []archive.File{{Name: name, Mode: 0o755, Content: content}, {Name: "LICENSE", Mode: 0o644, Content: license}}, archive.Epoch)
	if err != nil {
		return index.Platform{}, err
	}
	file := fmt.Sprintf("%s_%s_%s", binaryName, system, arch) + ending
	var address strings.Builder
	if err := uri.Execute(&address, map[string]string{"Version": version, "Archive": file}); err != nil {
		return index.Platform{}, fmt.Errorf("fill -uri: %w", err)
	}
	sum := sha256.Sum256(packed)
	return index.Platform{
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"os": system, "arch": arch}},
		URI:      address.String(),
		Sha256:   hex.EncodeToString(sum[:]),
		Files:    []index.FileOperation{{From: name, To: "."}, {From: "LICENSE", To: "."}},
		Bin:      name,
	}, write(o.output, file, packed)
}
