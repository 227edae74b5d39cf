package testenv

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// Block is a block of commands of a documentation page. Kind is the word after "sh".
type Block struct{ Kind, Commands string }

var shellBlock = regexp.MustCompile("(?ms)^( *)```sh *([a-z]*)\n(.*?)^ *```$")

// Blocks returns the blocks of commands of a page.
func Blocks(page string) (found []Block) {
	for _, m := range shellBlock.FindAllStringSubmatch(page, -1) {
		commands := strings.ReplaceAll("\n"+m[3], "\n"+m[1], "\n")
		found = append(found, Block{Kind: m[2], Commands: commands[1:]})
	}
	return found
}

var yamlFile = regexp.MustCompile("(?ms)^```yaml\n# ([a-z/]+\\.yaml)\n(.*?)^```$")

// PageFiles returns the files that a page shows, by their paths. They are blocks of YAML whose first
// line is a comment with the path.
func PageFiles(page string) map[string]string {
	files := map[string]string{}
	for _, m := range yamlFile.FindAllStringSubmatch(page, -1) {
		files[m[1]] = m[2]
	}
	return files
}

// Step is a part of a block: commands that end, or one that runs until the page's end.
type Step struct {
	Commands string
	Runs     bool
}

var runs = regexp.MustCompile(`\bport-forward\b|\bmake run\b|downstream-node (farm https?:|api --|worker --|standalone)|downstream logs .* -f\b`)

// Steps splits a block into steps.
func (b Block) Steps() (steps []Step) {
	const continued = "\x00"
	for line := range strings.Lines(strings.ReplaceAll(b.Commands, "\\\n", continued)) {
		line = strings.ReplaceAll(line, continued, "\\\n")
		switch last := len(steps) - 1; {
		case runs.MatchString(line):
			steps = append(steps, Step{line, true})
		case last >= 0 && !steps[last].Runs:
			steps[last].Commands += line
		default:
			steps = append(steps, Step{line, false})
		}
	}
	return steps
}

// CopyTree copies the files of the repository at root that git knows, or would add.
func CopyTree(t testing.TB, root string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	const script = `cd "$0" && git ls-files -co --exclude-standard -z | xargs -0 sh -c 'for f; do [ -f "$f" ] && printf "%s\0" "$f"; done' sh |
tar --null -T - -c | tar -C "$1" -x`
	if out, err := exec.Command("bash", "-c", "set -o pipefail; "+script, root, dir).CombinedOutput(); err != nil {
		t.Fatalf("copy the repository: %v\n%s", err, out)
	}
	return dir
}
