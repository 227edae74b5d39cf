package docs

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/driveshare/downstream-node/internal/farmer"
	"github.com/driveshare/downstream-node/internal/testenv"
)

// A block of commands in a page begins with ```sh and a word that says where it can run.
var kinds = map[string]struct {
	what string
	runs bool // here, or in test/e2e
}{
	"":          {"runs beside the page's node, and must succeed", true},
	"terminal":  {"runs in place of what ran before", true},
	"farmer":    {"has ID or TOKEN in place of those of a farmer", true},
	"servers":   {"needs MySQL and Redis", true},
	"cluster":   {"needs Kubernetes, so test/e2e runs it", true},
	"elsewhere": {"needs a registry, a program of another project, or another cluster", false},
	"network":   {"downloads something", false},
	"long":      {"runs all tests", false},
}

// maxNotRun is the number of blocks that do not run. It must not rise without a decision.
const maxNotRun = 6

// TestCommands runs the commands of README.md and of the pages, except those that test/e2e
// runs. Each page has its own copy of the repository and its own node: the one that the page
// starts, or a standalone node.
func TestCommands(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the program")
	}
	needed(t, "bash", "curl", "jq", "make", "git", "age", "mariadb-dump", "xxd")
	all, counts, notRun := pages(t), map[string]int{}, 0
	tree := testenv.CopyTree(t, "..")
	if out, err := exec.Command("make", "-s", "-C", tree, "node").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for file, page := range all {
		here := false
		for _, b := range testenv.Blocks(page) {
			kind, known := kinds[b.Kind]
			if !known {
				t.Errorf("%s: no kind of blocks is called %q; the kinds are %v", file, b.Kind, kinds)
			}
			counts[b.Kind]++
			if !kind.runs {
				notRun++
			}
			here = here || runsHere(b)
		}
		if here {
			t.Run(file, func(t *testing.T) {
				t.Parallel()
				dir := filepath.Join(t.TempDir(), "tree")
				testenv.Must(t, os.CopyFS(dir, os.DirFS(tree)))
				newTerminal(t, dir).runPage(page, all["how-to/processes.md"])
			})
		}
	}
	t.Logf("blocks of each kind: %v", counts)
	if notRun > maxNotRun {
		t.Errorf("%d blocks do not run, want at most %d", notRun, maxNotRun)
	}
}

// runsHere reports whether TestCommands runs a block.
func runsHere(b testenv.Block) bool { return kinds[b.Kind].runs && b.Kind != "cluster" }

func needed(t *testing.T, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("%v; `make test-deps` installs what the tests need", err)
		}
	}
}

// runPage runs the blocks of a page. If a page needs a standalone node and does not start one, the
// test does. If it needs servers, the node is the one that the page processes makes.
func (term *terminal) runPage(page, processes string) {
	blocks := slices.DeleteFunc(testenv.Blocks(page), func(b testenv.Block) bool { return !runsHere(b) })
	if slices.ContainsFunc(blocks, func(b testenv.Block) bool { return b.Kind == "servers" }) {
		term.useServers()
		if page != processes {
			term.write(processes)
			for _, b := range testenv.Blocks(processes)[:2] { // the key, and the tables
				term.run(b.Commands)
			}
		}
	}
	term.write(page)
	for _, b := range blocks {
		if b.Kind == "terminal" {
			term.stop()
		}
		if b.Kind == "farmer" {
			term.makeFarmer()
		}
		for _, s := range b.Steps() {
			switch {
			case !s.Runs:
				term.needNode(b)
				term.run(s.Commands)
			case startsNode.MatchString(s.Commands):
				term.start(s.Commands)
				term.awaitChunks()
			case startsFarmer.MatchString(s.Commands):
				term.needNode(b)
				term.start(s.Commands)
				term.awaitHeartbeat()
			default:
				term.start(s.Commands)
			}
		}
	}
	term.stop()
}

var (
	startsNode   = regexp.MustCompile(`make run|downstream-node standalone`)
	startsFarmer = regexp.MustCompile(`downstream-node farm https?`)
)

// needNode starts a standalone node if the block needs one and there is none.
func (term *terminal) needNode(b testenv.Block) {
	if b.Kind != "servers" && len(term.running) == 0 {
		term.start("bin/downstream-node standalone")
		term.awaitChunks()
	}
}

// terminal runs commands in a directory. It replaces the addresses in the pages by free
// ones, so that pages can be tested at the same time, and beside a running node.
type terminal struct {
	t       *testing.T
	dir     string
	env     []string
	replace []string // what is replaced in commands and files, and by what
	running []*running
}

type running struct {
	*testenv.Process
	commands string
}

func newTerminal(t *testing.T, dir string) *terminal {
	term := &terminal{t: t, dir: dir}
	addresses := map[string]string{}
	for _, port := range []string{"5000", "5001", "9090", "9091", "9092", "9093"} {
		addresses[port] = testenv.FreeAddress(t)
		term.replace = append(term.replace, "localhost:"+port, addresses[port], "=:"+port, "="+addresses[port])
	}
	term.replace = append(term.replace,
		"https://farm.example:5000", "http://"+addresses["5000"], "--address ADDRESS", "--address 19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jV", "10GiB", "1MiB",
		"'the text'", "'test message'", "'H...='", "'HyzVUenXXo4pa+kgm1vS8PNJM83eIXFC5r0q86FGbqFcdla6rcw72/ciXiEPfjli3ENfwWuESHhv6K9esI0dl5I='")
	term.env = append(os.Environ(), "DOWNSTREAM_API_LISTEN="+addresses["5000"], "DOWNSTREAM_API_PRIVATE_LISTEN="+addresses["9090"],
		"DOWNSTREAM_INVENTORY_MAX_CHUNK_SIZE=64KiB", "DOWNSTREAM_INVENTORY_TOTAL_SIZE=4MiB", "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	return term
}

// useServers replaces the servers that the pages name by those of the test, and makes a key pair of age
// and what else the pages expect.
func (term *terminal) useServers() {
	term.t.Helper()
	dsn, redis := testenv.NewDatabase(term.t), testenv.StartRedis(term.t, testenv.Fast)
	db, err := mysql.ParseDSN(dsn)
	testenv.Must(term.t, err)
	host, port, err := net.SplitHostPort(db.Addr)
	testenv.Must(term.t, err)
	term.run("age-keygen -o key.txt && ln -s bin bin-new")
	recipient := strings.TrimSpace(term.run("age-keygen -y key.txt"))
	term.replace = append(term.replace,
		"downstream:PASSWORD@tcp(127.0.0.1:3306)/downstream", dsn, "127.0.0.1:6379", redis.Addr(),
		"--host 127.0.0.1 --user downstream --password", "--host "+host+" --port "+port+" --user "+db.User+" --password="+db.Passwd,
		" downstream >dump.sql", " "+db.DBName+" >dump.sql", "age1...", recipient, "backups/FILE", "backups/*.age", "VERSION", "1")
}

// write writes the files that a page shows.
func (term *terminal) write(page string) {
	for path, content := range testenv.PageFiles(page) {
		testenv.Must(term.t, os.WriteFile(filepath.Join(term.dir, path), []byte(strings.NewReplacer(term.replace...).Replace(content)), 0o600))
	}
}

// makeFarmer makes a farmer whose token and id stand for TOKEN and ID in commands.
func (term *terminal) makeFarmer() {
	term.t.Helper()
	term.needNode(testenv.Block{})
	token := strings.TrimSpace(term.run("curl -sf localhost:5000/api/downstream/v1/new/19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jV | jq -r .token"))
	term.replace = append(term.replace, "TOKEN", token, " ID", " "+farmer.FarmerID(token))
}

func (term *terminal) bash(ctx context.Context, commands string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", strings.NewReplacer(term.replace...).Replace(commands))
	cmd.Dir, cmd.Env = term.dir, term.env
	return cmd
}

// run runs commands, which must succeed, and returns what they print.
func (term *terminal) run(commands string) string {
	term.t.Helper()
	ctx, cancel := context.WithTimeout(term.t.Context(), 2*time.Minute)
	defer cancel()
	var errs strings.Builder
	cmd := term.bash(ctx, commands)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		term.t.Fatalf("%v\n%s\nprinted:\n%s%s", err, commands, out, &errs)
	}
	return string(out)
}

// start starts commands, which must run until stop.
func (term *terminal) start(commands string) {
	term.t.Helper()
	cmd := term.bash(context.Background(), commands)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // `make run` has children
	p, err := testenv.StartProcess(commands, filepath.Join(term.t.TempDir(), "log"), cmd)
	testenv.Must(term.t, err)
	r := &running{p, commands}
	term.running = append(term.running, r)
	term.t.Cleanup(func() { term.end(r) })
}

// stop ends what start started.
func (term *terminal) stop() {
	for _, r := range term.running {
		if !r.Running() {
			term.t.Errorf("this ended early:\n%s", r.commands)
		}
		term.end(r)
	}
	term.running = nil
}

func (term *terminal) end(r *running) {
	_ = syscall.Kill(-r.PID(), syscall.SIGKILL)
	<-r.Exited()
	if term.t.Failed() {
		term.t.Logf("%s\nprinted:\n%s", r.commands, r.LogTail())
	}
}

// awaitChunks waits until the node has chunks for farmers.
func (term *terminal) awaitChunks() {
	term.t.Helper()
	term.await("chunks", "bin/downstream-node chunks list", regexp.MustCompile(`(?m)^.*KiB`))
}

// awaitHeartbeat waits until the farmer that the pages start has a heartbeat.
func (term *terminal) awaitHeartbeat() {
	term.t.Helper()
	term.await("a heartbeat", "curl -sf 'localhost:5000/api/downstream/status/list?search=19qVgG8C6eXwKMMyvVegsi3xCsKyk3Z3jV'",
		regexp.MustCompile(`"heartbeats": ?[1-9]`))
}

// await waits until commands print what is wanted.
func (term *terminal) await(name, commands string, want *regexp.Regexp) {
	term.t.Helper()
	var out []byte
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if out, _ = term.bash(term.t.Context(), commands).CombinedOutput(); want.Match(out) {
			return
		}
	}
	term.t.Fatalf("%s did not appear within two minutes; the last output was:\n%s", name, out)
}
