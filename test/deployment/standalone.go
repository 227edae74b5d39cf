package deployment

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/testenv"
)

// Standalone starts a node that is one process, with SQLite and an embedded Redis,
// and waits until the node is ready. Its inventory has count chunks of the
// given size, written as in `chunks generate`, and of the scheme heartbeat.type or Merkle. The
// node makes no further chunks, unless settings switch that on.
func Standalone(t testing.TB, binary string, settings Settings, size, count string) *Replica {
	t.Helper()
	dir := t.TempDir()
	public, private := testenv.FreeAddress(t), testenv.FreeAddress(t)
	settings = Settings{
		"database.path":       filepath.Join(dir, "downstream.db"),
		"api.listen":          public,
		"api.privateListen":   private,
		"access.whitelist":    "false",
		"access.signatures":   "false",
		"worker.duties.stock": "false",
	}.and(settings)
	key := run(t, binary, nil, "heartbeat", "new", "--type", cmp.Or(settings["heartbeat.type"], string(heartbeat.Merkle)))
	testenv.Must(t, os.WriteFile(filepath.Join(dir, "heartbeat.json"), key, 0o600))
	run(t, binary, settings, "db", "migrate")
	run(t, binary, settings, "chunks", "generate", size, count)

	r := &Replica{URL: "http://" + public, Private: "http://" + private, Dir: dir}
	r.Run = func(t testing.TB, args ...string) []byte { t.Helper(); return run(t, binary, settings, args...) }
	r.launch = func(t testing.TB) *testenv.Process {
		t.Helper()
		cmd := exec.Command(binary, "standalone", "--data", dir)
		cmd.Env = settings.environ(t)
		return start(t, "standalone", dir, cmd)
	}
	r.Restart(t)
	r.awaitReady(t)
	return r
}
