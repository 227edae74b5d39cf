package testenv

import (
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// galeraTimes are the times of a cluster on one machine: it notices after two seconds that
// a node does not respond.
const galeraTimes = "gcache.size=16M;evs.keepalive_period=PT0.3S;evs.inactive_check_period=PT0.3S;" +
	"evs.suspect_timeout=PT2S;evs.inactive_timeout=PT4S;evs.install_timeout=PT4S"

// galeraNode has the ports that a Galera node uses beside that of its clients.
type galeraNode struct{ group, increment, snapshot int }

func newGaleraNode() (g galeraNode, err error) {
	for _, port := range []*int{&g.group, &g.increment, &g.snapshot} {
		if *port, err = FreePort(); err != nil {
			return g, err
		}
	}
	return g, nil
}

func (g galeraNode) address() string { return fmt.Sprintf("127.0.0.1:%d", g.group) }

// options returns the options of the node. cluster has the addresses of all nodes.
func (g galeraNode) options(cluster ...string) ([]string, error) {
	const provider = "/usr/lib/galera/libgalera_smm.so" // in Debian's package galera-4
	if _, err := os.Stat(provider); err != nil {
		return nil, fmt.Errorf("the Galera library is missing: %w; `make test-deps` installs it", err)
	}
	return []string{
		"--wsrep-on=ON",
		"--wsrep-provider=" + provider,
		"--wsrep-cluster-address=gcomm://" + strings.Join(cluster, ","),
		"--wsrep-node-address=127.0.0.1",
		fmt.Sprintf("--wsrep-provider-options=gmcast.listen_addr=tcp://%s;ist.recv_addr=127.0.0.1:%d;%s", g.address(), g.increment, galeraTimes),
		"--wsrep-sst-method=rsync",
		fmt.Sprintf("--wsrep-sst-receive-address=127.0.0.1:%d", g.snapshot),
		"--binlog-format=ROW",
		"--innodb-autoinc-lock-mode=2",
	}, nil
}

// GaleraOptions returns the options of a server that is a Galera cluster of one node.
func GaleraOptions(t testing.TB) []string {
	t.Helper()
	g, err := newGaleraNode()
	Must(t, err)
	options, err := g.options()
	Must(t, err)
	return options
}

// Galera is the nodes of a Galera cluster.
type Galera []*MariaDB

// StartGalera starts a Galera cluster of three nodes for one test.
func StartGalera(t testing.TB) Galera {
	t.Helper()
	g, err := launchGalera()
	return closeAfter(t, g, err)
}

// SharedGalera returns a Galera cluster that all tests of the process share.
func SharedGalera(t testing.TB) Galera { t.Helper(); return sharedGalera(t) }

var sharedGalera = shared(launchGalera)

// launchGalera starts a cluster. The first node begins the cluster, and the others get its
// data by a state transfer.
func launchGalera() (cluster Galera, err error) {
	defer func() {
		if err != nil {
			cluster.close()
		}
	}()
	var nodes [3]galeraNode
	var addresses []string
	for i := range nodes {
		if nodes[i], err = newGaleraNode(); err != nil {
			return nil, err
		}
		addresses = append(addresses, nodes[i].address())
	}
	for i, g := range nodes {
		options, err := g.options(addresses...)
		if err != nil {
			return cluster, err
		}
		m, err := newMariaDB(Fast, options...)
		if err != nil {
			return cluster, err
		}
		m.ready = m.synced
		args := m.args
		if i == 0 {
			m.args = append(slices.Clone(args), "--wsrep-new-cluster")
		} else if err = m.loseData(); err != nil {
			return cluster, err
		}
		if err = m.runAsMySQL(); err == nil {
			err = m.start()
		}
		if err != nil {
			os.RemoveAll(m.dir)
			return cluster, err
		}
		m.args = args // the first node joins the others, too, when it starts again
		cluster = append(cluster, m)
	}
	return cluster, nil
}

func (g Galera) close() {
	for _, m := range g {
		m.close()
	}
}

// NewDatabase creates an empty database for the test. The connections of its DSN go to the
// nodes in turn.
func (g Galera) NewDatabase(t testing.TB) (dsn string) {
	t.Helper()
	cfg, err := mysql.ParseDSN(g[0].NewDatabase(t))
	Must(t, err)
	var addresses []string
	for _, m := range g {
		own := m.user()
		own.DBName = cfg.DBName
		WaitFor(t, "each node has the database", func() bool { return withDB(own, (*sql.DB).Ping) == nil })
		addresses = append(addresses, own.Addr)
	}
	cfg.Addr = startProxy(t, func([]byte) {}, addresses...)
	return cfg.FormatDSN()
}

// runAsMySQL makes the server run as the user of Debian's package if the test runs as
// root. If root runs the state transfer, it writes files as the user nobody, and fails.
func (m *MariaDB) runAsMySQL() error {
	if os.Geteuid() != 0 {
		return nil
	}
	account, err := user.Lookup("mysql")
	if err != nil {
		return err
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return err
	}
	m.account = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return m.giveFiles()
}

// giveFiles makes the user that runs the server own its files.
func (m *MariaDB) giveFiles() error {
	if m.account == nil {
		return nil
	}
	return filepath.WalkDir(m.dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(m.account.Uid), int(m.account.Gid))
	})
}

// synced returns an error unless the server is part of its cluster and has all its data.
func (m *MariaDB) synced() error {
	state, err := m.wsrepStatus("wsrep_local_state_comment")
	if err == nil && state != "Synced" {
		err = fmt.Errorf("the state of the Galera node is %s", state)
	}
	return err
}

// AwaitSynced waits until a Galera node is part of its cluster and has all its data.
func (m *MariaDB) AwaitSynced(t testing.TB) { t.Helper(); Must(t, m.await(m.synced)) }

// WsrepStatus returns one of the status values of a Galera node.
func (m *MariaDB) WsrepStatus(t testing.TB, name string) string {
	t.Helper()
	value, err := m.wsrepStatus(name)
	Must(t, err)
	return value
}

func (m *MariaDB) wsrepStatus(name string) (value string, err error) {
	err = withDB(m.admin(), func(db *sql.DB) error {
		return db.QueryRow("SHOW STATUS LIKE '"+name+"'").Scan(&name, &value)
	})
	return value, err
}

// Isolate cuts a Galera node off from the network of its cluster, or ends this.
func (m *MariaDB) Isolate(t testing.TB, isolated bool) {
	t.Helper()
	m.SetGlobal(t, "wsrep_provider_options", map[bool]string{true: "'gmcast.isolate=1'", false: "'gmcast.isolate=0'"}[isolated])
}

// LoseData deletes the data of a server that has ended. A Galera node gets all data from
// another node when it starts again.
func (m *MariaDB) LoseData(t testing.TB) { t.Helper(); Must(t, m.loseData()) }

func (m *MariaDB) loseData() error {
	data := filepath.Join(m.dir, "data")
	if err := os.RemoveAll(data); err != nil {
		return err
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	return m.giveFiles()
}

// CutOff makes a Galera node refuse all statements with error 1047, as a node does
// that is cut off from its cluster, or ends this.
func (m *MariaDB) CutOff(t testing.TB, cutOff bool) {
	t.Helper()
	m.SetGlobal(t, "wsrep_reject_queries", map[bool]string{true: "'ALL'", false: "'NONE'"}[cutOff])
}
