package heartbeatcmd

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/driveshare/downstream-node/internal/program"

	"github.com/driveshare/downstream-node/heartbeat/filestream"
)

// heartbeatVector is one test vector of Merkle or Swizzle.
type heartbeatVector struct {
	Challenges int
	File       struct {
		Seed string
		Size int64
	}
	CheckFraction json.RawMessage `json:"check_fraction"`
	Heartbeat     json.RawMessage
	Public        json.RawMessage
	State         json.RawMessage
	Tag           json.RawMessage
	RootSeed      string `json:"root_seed"`
	Rounds        []struct {
		Challenge, Proof json.RawMessage
		Valid            bool
		Why              string
	}
}

func readHeartbeatVectors(t *testing.T, scheme string) []heartbeatVector {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "..", "heartbeat", scheme, "testdata", scheme+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []heartbeatVector }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	return file.Vectors
}

func TestHeartbeatMerkleVectors(t *testing.T) {
	t.Parallel()
	for i, v := range readHeartbeatVectors(t, "merkle") {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			d := newFolder(t)
			d.write("private", fmt.Sprintf(`{"type":"Merkle","heartbeat":%s}`, v.Heartbeat))
			var tag struct{ Chunksz int64 }
			if err := json.Unmarshal(v.Tag, &tag); err != nil {
				t.Fatal(err)
			}
			d.ok("encode", "--heartbeat", d.path("private"), "--seed", v.File.Seed, "--size", strconv.FormatInt(v.File.Size, 10),
				"--tag", d.path("tag"), "--state", d.path("state"), "--challenges", strconv.Itoa(v.Challenges),
				"--root-seed", v.RootSeed, "--chunk-size", strconv.FormatInt(tag.Chunksz, 10))
			d.same("tag", d.read("tag"), v.Tag)
			d.write("first", string(d.read("state")))

			public := d.ok("public", "--heartbeat", d.path("private"))
			d.write("public", public)
			d.same("public", []byte(public), fmt.Appendf(nil, `{"type":"Merkle","heartbeat":%s}`, v.Public))
			for _, round := range v.Rounds {
				if round.Valid {
					d.same("challenge", []byte(d.ok("challenge", "--heartbeat", d.path("private"), "--state", d.path("state"))), round.Challenge)
				}
				d.write("challenge", string(round.Challenge))
				d.playRound(v, round.Proof, round.Valid)
			}
		})
	}
}

func TestHeartbeatSwizzleVectors(t *testing.T) {
	t.Parallel()
	for i, v := range readHeartbeatVectors(t, "swizzle") {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			d := newFolder(t)
			d.write("private", fmt.Sprintf(`{"type":"Swizzle","heartbeat":%s,"check_fraction":%s}`, v.Heartbeat, v.CheckFraction))
			d.write("tag", string(v.Tag))
			d.write("state", string(v.State))
			d.write("first", string(v.State))
			d.write("public", d.ok("public", "--heartbeat", d.path("private")))
			d.same("public", d.read("public"), fmt.Appendf(nil, `{"type":"Swizzle","heartbeat":%s}`, v.Public))
			for _, round := range v.Rounds {
				d.write("challenge", string(round.Challenge))
				d.playRound(v, round.Proof, round.Valid)
			}
		})
	}
}

// playRound proves and verifies with the files in the folder.
func (d folder) playRound(v heartbeatVector, proof json.RawMessage, valid bool) {
	d.t.Helper()
	if valid {
		d.same("proof", []byte(d.ok("prove", "--heartbeat", d.path("public"), "--seed", v.File.Seed, "--size", strconv.FormatInt(v.File.Size, 10),
			"--tag", d.path("tag"), "--challenge", d.path("challenge"))), proof)
	}
	d.write("proof", string(proof))
	want, code := "valid\n", 0
	if !valid {
		want, code = "not valid\n", exitNotValid
	}
	for _, state := range []string{"first", "state"} {
		got, err := d.run("", "verify", "--heartbeat", d.path("private"), "--state", d.path(state), "--challenge", d.path("challenge"), "--proof", d.path("proof"))
		if got != want || exitCode(err) != code {
			d.t.Errorf("verify with %s: %q, %v, want %q", state, got, err, want)
		}
	}
}

// TestHeartbeatRound runs the example in the command's help on a file on disk.
func TestHeartbeatRound(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"Merkle", "Swizzle"} {
		for _, size := range []int64{0, 1, 70000} {
			t.Run(fmt.Sprintf("%s/%d", scheme, size), func(t *testing.T) {
				t.Parallel()
				d := newFolder(t)
				content := make([]byte, size)
				if size > 0 {
					if _, err := filestream.New("content", size).ReadAt(content, 0); err != nil {
						t.Fatal(err)
					}
				}
				d.write("file", string(content))
				d.write("private", d.ok("new", "--type", scheme, "--check-fraction", "0.2"))
				d.write("public", d.ok("public", "--heartbeat", d.path("private")))
				d.ok("encode", "--heartbeat", d.path("private"), "--file", d.path("file"), "--tag", d.path("tag"), "--state", d.path("state"))
				if mode := d.mode("state"); mode != 0o600 {
					t.Errorf("the state file has mode %o", mode)
				}
				for range 3 {
					d.write("challenge", d.ok("challenge", "--heartbeat", d.path("private"), "--state", d.path("state")))
					proof := d.ok("prove", "--heartbeat", d.path("public"), "--file", d.path("file"), "--tag", d.path("tag"), "--challenge", d.path("challenge"))
					got, err := d.run(proof, "verify", "--heartbeat", d.path("private"), "--state", d.path("state"), "--challenge", d.path("challenge"), "--proof", "-")
					if got != "valid\n" || err != nil {
						t.Errorf("verify: %q, %v", got, err)
					}
				}
				d.onlyFiles("challenge", "file", "private", "public", "state", "tag")
			})
		}
	}
}

func TestHeartbeatNoMoreChallenges(t *testing.T) {
	t.Parallel()
	d := newFolder(t)
	d.write("private", d.ok("new", "--type", "merkle"))
	d.ok("encode", "--heartbeat", d.path("private"), "--seed", "s", "--size", "99", "--challenges", "1", "--tag", d.path("tag"), "--state", d.path("state"))
	d.ok("challenge", "--heartbeat", d.path("private"), "--state", d.path("state"))
	d.bad("no more challenges", "challenge", "--heartbeat", d.path("private"), "--state", d.path("state"))
}

// TestHeartbeatBadInput checks that every failure except an invalid proof exits with 2,
// and that the message contains what to do.
func TestHeartbeatBadInput(t *testing.T) {
	t.Parallel()
	d := newFolder(t)
	d.write("private", d.ok("new", "--type", "Merkle"))
	d.write("swizzle", d.ok("new", "--type", "Swizzle"))
	d.write("public", d.ok("public", "--heartbeat", d.path("private")))
	d.write("junk", `{"leaf": {"index": "0"}}`)
	encode := func(args ...string) []string {
		return append([]string{"encode", "--tag", d.path("tag"), "--state", d.path("state")}, args...)
	}
	d.ok(encode("--heartbeat", d.path("private"), "--seed", "s", "--size", "100")...)
	d.write("challenge", d.ok("challenge", "--heartbeat", d.path("private"), "--state", d.path("state")))
	verify := func(private, state, challenge, proof string) []string {
		return []string{"verify", "--heartbeat", d.path(private), "--state", d.path(state), "--challenge", d.path(challenge), "--proof", d.path(proof)}
	}
	for _, test := range []struct {
		want string
		args []string
	}{
		{"--type is missing", []string{"new"}},
		{`type "Merkel"`, []string{"new", "--type", "Merkel"}},
		{"check fraction 1.5", []string{"new", "--type", "Merkle", "--check-fraction", "1.5"}},
		{"unknown flag", []string{"new", "--typo", "Merkle"}},
		{"unknown command", []string{"prooove"}},
		{"unknown command", []string{"new", "Merkle"}},
		{"no such file", []string{"public", "--heartbeat", d.path("absent")}},
		{"heartbeat new", []string{"public", "--heartbeat", d.path("public")}},
		{"--seed and --size", encode("--heartbeat", d.path("private"))},
		{"--seed and --size", encode("--heartbeat", d.path("private"), "--seed", "s")},
		{"--file alone", encode("--heartbeat", d.path("private"), "--seed", "s", "--size", "1", "--file", d.path("junk"))},
		{"--size is -1", encode("--heartbeat", d.path("private"), "--seed", "s", "--size", "-1")},
		{"--challenges is 0", encode("--heartbeat", d.path("private"), "--seed", "s", "--size", "1", "--challenges", "0")},
		{"--root-seed", encode("--heartbeat", d.path("private"), "--seed", "s", "--size", "1", "--root-seed", "AAAA")},
		{"chunk size of -2", encode("--heartbeat", d.path("private"), "--seed", "s", "--size", "1", "--chunk-size", "-2")},
		{"is for Merkle", encode("--heartbeat", d.path("swizzle"), "--seed", "s", "--size", "1", "--challenges", "9")},
		{"not a regular file", encode("--heartbeat", d.path("private"), "--file", d.dir)},
		{"heartbeat public", []string{"prove", "--heartbeat", d.path("private"), "--seed", "s", "--size", "100", "--tag", d.path("tag"), "--challenge", d.path("challenge")}},
		{"a file of 100 bytes", []string{"prove", "--heartbeat", d.path("public"), "--seed", "s", "--size", "101", "--tag", d.path("tag"), "--challenge", d.path("challenge")}},
		{"--proof is missing", verify("private", "state", "challenge", "junk")[:7]},
		{"malformed proof", verify("private", "state", "challenge", "junk")},
		{"malformed challenge", verify("private", "state", "junk", "junk")},
		{"not a state file", verify("private", "challenge", "challenge", "junk")},
		{"malformed heartbeat file", verify("junk", "state", "challenge", "junk")},
		{"standard input", []string{"verify", "--heartbeat", "-", "--state", "-", "--challenge", "c", "--proof", "p"}},
	} {
		d.bad(test.want, test.args...)
	}
}

// TestHeartbeatEncodeKeepsOldFiles checks that a failed encode does not change the
// files that existed before.
func TestHeartbeatEncodeKeepsOldFiles(t *testing.T) {
	t.Parallel()
	d := newFolder(t)
	d.write("private", d.ok("new", "--type", "Merkle"))
	d.write("tag", "the old tag")
	d.bad("", "encode", "--heartbeat", d.path("private"), "--seed", "s", "--size", "1", "--challenges", "99999999", "--tag", d.path("tag"), "--state", d.path("state"))
	if got := string(d.read("tag")); got != "the old tag" {
		t.Errorf("the tag is %q", got)
	}
	d.onlyFiles("private", "tag")
}

// TestHeartbeatChallengeOfStandardInput reads the state from standard input. A Merkle
// challenge must update the state, which is impossible there, so the command fails and
// prints no challenge.
func TestHeartbeatChallengeOfStandardInput(t *testing.T) {
	t.Parallel()
	d := newFolder(t)
	for _, scheme := range []string{"Merkle", "Swizzle"} {
		d.write("private", d.ok("new", "--type", scheme))
		d.ok("encode", "--heartbeat", d.path("private"), "--seed", "s", "--size", "1", "--tag", d.path("tag"), "--state", d.path("state"))
		out, err := d.run(string(d.read("state")), "challenge", "--heartbeat", d.path("private"), "--state", "-")
		if moves := scheme == "Merkle"; moves != (err != nil) || moves != (out == "") {
			t.Errorf("%s: %q, %v", scheme, out, err)
		}
	}
}

func TestHeartbeatStateFileIsBase64(t *testing.T) {
	t.Parallel()
	d := newFolder(t)
	state := []byte{0xfb, 0xff, 0x00}
	if err := writeState(d.path("state"), state); err != nil {
		t.Fatal(err)
	}
	d.same("state", d.read("state"), []byte(`"`+base64.StdEncoding.EncodeToString(state)+`"`))
}

// folder is the folder of a test's files.
type folder struct {
	t   *testing.T
	dir string
}

func newFolder(t *testing.T) folder { return folder{t, t.TempDir()} }

func (d folder) path(name string) string { return filepath.Join(d.dir, name) }

func (d folder) write(name, content string) {
	d.t.Helper()
	if err := os.WriteFile(d.path(name), []byte(content), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d folder) read(name string) []byte {
	d.t.Helper()
	b, err := os.ReadFile(d.path(name))
	if err != nil {
		d.t.Fatal(err)
	}
	return b
}

func (d folder) mode(name string) os.FileMode {
	d.t.Helper()
	status, err := os.Stat(d.path(name))
	if err != nil {
		d.t.Fatal(err)
	}
	return status.Mode().Perm()
}

// onlyFiles checks that the folder contains only the wanted files.
func (d folder) onlyFiles(want ...string) {
	d.t.Helper()
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if !reflect.DeepEqual(got, want) {
		d.t.Errorf("files %q, want %q", got, want)
	}
}

func (d folder) run(stdin string, args ...string) (stdout string, err error) {
	var out, messages bytes.Buffer
	cmd := &cobra.Command{Use: "downstream-node"}
	cmd.AddCommand(New())
	program.Prepare(cmd)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&messages)
	cmd.SetArgs(append([]string{"heartbeat"}, args...))
	err = cmd.ExecuteContext(d.t.Context())
	return out.String(), err
}

func (d folder) ok(args ...string) string {
	d.t.Helper()
	out, err := d.run("", args...)
	if err != nil {
		d.t.Fatalf("%q: %v", args, err)
	}
	return out
}

func (d folder) bad(want string, args ...string) {
	d.t.Helper()
	out, err := d.run("", args...)
	if exitCode(err) != exitBadInput || out != "" {
		d.t.Errorf("%q: %q, exit %d (%v), want %d", args, out, exitCode(err), err, exitBadInput)
	} else if !strings.Contains(err.Error(), want) {
		d.t.Errorf("%q: %q, want it to contain %q", args, err, want)
	}
}

func (d folder) same(what string, got, want []byte) {
	d.t.Helper()
	var g, w any
	if err := errors.Join(json.Unmarshal(got, &g), json.Unmarshal(want, &w)); err != nil {
		d.t.Fatalf("%s: %v", what, err)
	}
	if !reflect.DeepEqual(g, w) {
		d.t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// exitCode returns the exit code that main uses for an error.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[program.ExitError](err); ok {
		return exit.Status
	}
	return -1
}
