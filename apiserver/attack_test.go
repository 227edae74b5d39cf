package apiserver_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil/base58"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/testenv/testnode"
)

// These tests attack the node in the ways that worked on the old node. Like a real
// farmer, they use only HTTP and the data that the node has sent.

// The old node accepted a proof that named an inner node of the tree as the leaf. A
// farmer could compute such a proof from the tag, without the file. An inner node's
// data is the hashes of its two children. The attack works if this data ends with the
// index of the challenge, in decimal digits.
func TestShortBranchIsAnInvalidProof(t *testing.T) {
	onEach(t, defaultPlan, func(t *testing.T, h *harness) {
		f := h.newFarmer(t, 1)
		tried := 0
		for i := 0; tried < 3; i++ {
			if i == 200 {
				t.Fatal("the attack works on none of the files")
			}
			h.stock(t, fmt.Sprint("seed ", i), 100, heartbeat.EncodeOptions{Challenges: 256})
			c := f.take(t, 100)[0]
			proof, ok := forgeFromTag(t, c.Tag, 0)
			if !ok {
				continue
			}
			tried++
			f.submit(t, c, proof).want(t, http.StatusBadRequest, node.Invalid.Message())
			f.submit(t, c, f.prove(t, c, nil)).want(t, http.StatusOK, "ok")
		}
		if n := f.heartbeats(t); n != int64(tried) {
			t.Errorf("%d heartbeats for %d valid proofs", n, tried)
		}
	})
}

// forgeFromTag computes a proof that the old node accepted. It returns false if the
// attack does not work for this tag.
func forgeFromTag(t *testing.T, tag json.RawMessage, index int) (json.RawMessage, bool) {
	t.Helper()
	var decoded struct{ Tree struct{ Nodes [][]byte } }
	must(t, json.Unmarshal(tag, &decoded))
	nodes := decoded.Tree.Nodes
	for k := range len(nodes)/2 - 1 {
		both := append(bytes.Clone(nodes[2*k+1]), nodes[2*k+2]...)
		blob, ok := bytes.CutSuffix(both, []byte(strconv.Itoa(index)))
		if !ok {
			continue
		}
		rows := [][2][]byte{}
		for ; k > 0; k = (k - 1) / 2 {
			left := (k-1)/2*2 + 1
			rows = append(rows, [2][]byte{nodes[left], nodes[left+1]})
		}
		return asJSON(t, map[string]any{
			"leaf":   map[string]any{"index": index, "blob": blob},
			"branch": map[string]any{"rows": rows},
		}), true
	}
	return nil, false
}

// The old node challenged 1 % of a file. 1 % of a small file was 0 bytes. So a
// farmer could send a valid proof without the file.
func TestSmallChunkCannotBeProvenWithoutItsContent(t *testing.T) {
	for _, scheme := range []heartbeat.Type{heartbeat.Merkle, heartbeat.Swizzle} {
		t.Run(string(scheme), func(t *testing.T) {
			onEach(t, func(p *plan) { p.schemes = []heartbeat.Type{scheme} }, func(t *testing.T, h *harness) {
				f := h.newFarmer(t, 1)
				c := f.takeOne(t, "seed")
				nothing := bytes.NewReader(make([]byte, c.Size))
				f.submit(t, c, f.prove(t, c, nothing)).want(t, http.StatusBadRequest, node.Invalid.Message())
				if scheme == heartbeat.Swizzle {
					f.submit(t, c, zeros()).want(t, http.StatusBadRequest, node.Invalid.Message())
				}
				f.submit(t, c, f.prove(t, c, nil)).want(t, http.StatusOK, "ok")
			})
		})
	}
}

// zeros returns the Swizzle proof for a challenge that selects no chunks: ten mu and
// one sigma, all zero.
func zeros() json.RawMessage {
	proof := []byte{10, 0, 0, 0}
	for range 11 {
		proof = append(proof, 1, 0, 0, 0, 0)
	}
	return json.RawMessage(`"` + base64.StdEncoding.EncodeToString(proof) + `"`)
}

// On the old node, a farmer could guess proofs without limit. This node counts the
// distinct wrong proofs. After the limit, it rejects every proof for the challenge,
// so the contract expires.
func TestWrongProofsAreLimited(t *testing.T) {
	onEach(t, defaultPlan, func(t *testing.T, h *harness) {
		f := h.newFarmer(t, 1)
		c := f.takeOne(t, "seed")
		limit := h.App.Config.Contracts.WrongAnswers
		for i := range limit {
			for range 3 { // a repeated wrong proof does not count
				f.submit(t, c, wrongProof(t, i)).want(t, http.StatusBadRequest, node.Invalid.Message())
			}
		}
		f.submit(t, c, wrongProof(t, limit)).want(t, http.StatusBadRequest, node.TooManyWrong.Message())
		f.submit(t, c, f.prove(t, c, nil)).want(t, http.StatusBadRequest, node.TooManyWrong.Message())
		f.submit(t, c, wrongProof(t, 0)).want(t, http.StatusBadRequest, node.Invalid.Message())
		if n := f.heartbeats(t); n != 0 {
			t.Errorf("%d heartbeats", n)
		}
	})
}

// The limit also applies if all guesses are in one request, even if the request is
// split into many jobs.
func TestWrongProofsAreLimitedWithinARequest(t *testing.T) {
	onEach(t, func(p *plan) { p.cfg.API.PartSize = 1 }, func(t *testing.T, h *harness) {
		f := h.newFarmer(t, 1)
		c := f.takeOne(t, "seed")
		var guesses proofs
		for i := range 50 {
			guesses.Proofs = append(guesses.Proofs, proofOf{c.FileHash, wrongProof(t, i)})
		}
		counts := map[string]int{}
		for _, line := range decodeOK[report](t, f.ask(t, "POST", f.at("answer"), guesses)).Report {
			counts[line.Error]++
		}
		limit := h.App.Config.Contracts.WrongAnswers
		if counts[node.Invalid.Message()] != limit || counts[node.TooManyWrong.Message()] != 50-limit {
			t.Errorf("%v, want %d counted wrong proofs", counts, limit)
		}
	})
}

// After a wrong proof, a valid proof for the same challenge still counts.
func TestValidProofAfterAWrongOne(t *testing.T) {
	onEach(t, defaultPlan, func(t *testing.T, h *harness) {
		f := h.newFarmer(t, 1)
		c := f.takeOne(t, "seed")
		f.submit(t, c, wrongProof(t, 0)).want(t, http.StatusBadRequest, node.Invalid.Message())
		f.submit(t, c, f.prove(t, c, nil)).want(t, http.StatusOK, "ok")
	})
}

// The node must refuse a proof that is larger than the scheme allows. In a batch, the
// other proofs still count.
func TestHugeProofIsRefused(t *testing.T) {
	for _, scheme := range []heartbeat.Type{heartbeat.Merkle, heartbeat.Swizzle} {
		t.Run(string(scheme), func(t *testing.T) {
			onEach(t, func(p *plan) { p.schemes = []heartbeat.Type{scheme} }, func(t *testing.T, h *harness) {
				f := h.newFarmer(t, 1)
				c := f.takeOne(t, "seed")
				honest := f.prove(t, c, nil)
				if most := h.Keys.Current().MaxProof(); len(honest) > most {
					t.Errorf("a proof of %d bytes, but MaxProof is %d", len(honest), most)
				}
				wire := json.RawMessage(`"` + strings.Repeat("A", 40_000) + `"`)
				f.submit(t, c, wire).want(t, http.StatusRequestEntityTooLarge, "too large")
				long := strings.Repeat("0", 40_000)
				batch := proofs{[]proofOf{{c.FileHash, wire}, {long, honest}, {c.FileHash, honest}}}
				told := decodeOK[report](t, f.ask(t, "POST", f.at("answer"), batch)).Report
				for i, want := range []string{node.Invalid.Message(), node.Malformed.Message(), ""} {
					if told[i].Error != want {
						t.Errorf("proof %d: %+v, want %q", i, told[i], want)
					}
				}
			})
		})
	}
}

// Tokens are secrets. The database must not contain them.
func TestDatabaseHoldsNoToken(t *testing.T) {
	t.Parallel()
	h := openHarness(t, testnode.Embedded, defaultPlan)
	decoded := decodeOK[struct{ Token string }](t, h.ask(t, "GET", api+"/new/"+address, nil, from, "192.0.2.1"))
	f := h.newFarmer(t, 0xa7)
	must(t, h.Redis.Tokens().Forget(t.Context(), f.token.Hash()))
	c := f.takeOne(t, "seed")
	f.submit(t, c, f.prove(t, c, nil)).want(t, http.StatusOK, "ok")

	token, err := node.ParseToken(decoded.Token)
	must(t, err)
	files, err := filepath.Glob(h.App.Config.Database.Path + "*")
	must(t, err)
	hashes := 0
	for _, path := range files {
		content, err := os.ReadFile(path)
		must(t, err)
		hash := token.Hash()
		hashes += bytes.Count(content, hash[:])
		for name, secret := range map[string][]byte{"the bytes of the first token": token[:], "the text of the first token": []byte(decoded.Token), "the text of the second token": []byte(f.token.Hex())} {
			if bytes.Contains(bytes.ToLower(content), bytes.ToLower(secret)) {
				t.Errorf("%s contains %s", filepath.Base(path), name)
			}
		}
	}
	if hashes == 0 {
		t.Errorf("the token's hash is not in %q, so the test searched the wrong files", files)
	}
}

// A token counts at the IP address from which it is used. The limit therefore also
// applies to tokens that were created at other IP addresses and are now used at one
// common IP address. Tokens beyond the limit stay recorded at their own IP addresses.
func TestTokenCountsAtItsLastIPAddress(t *testing.T) {
	onEach(t, func(p *plan) { p.idle, p.cfg.Contracts.TokensPerIP = true, 2 }, func(t *testing.T, h *harness) {
		const here = "198.51.100.1"
		var farmers []*farmer
		for n := range byte(4) {
			h.stock(t, fmt.Sprint("seed ", n), 100, heartbeat.EncodeOptions{Challenges: 4})
			farmers = append(farmers, h.newFarmer(t, n+1))
		}
		for i, f := range farmers {
			f.ip = here
			got := f.ask(t, "GET", f.at("chunk", "100"), nil)
			if i < 2 {
				got.want(t, http.StatusOK, `"seed"`)
			} else {
				got.want(t, http.StatusBadRequest, "too many tokens for this IP address")
			}
			if ip := f.record(t).IP; (ip == here) != (i < 2) {
				t.Errorf("the token of farmer %d counts at %s", i, ip)
			}
		}
		h.ask(t, "GET", api+"/new/"+address, nil, from, here).want(t, http.StatusBadRequest, "too many tokens")
		// The farmer's contracts continue, because the limit applies only to new
		// contracts.
		farmers[3].ask(t, "GET", farmers[3].at("challenge"), nil).want(t, http.StatusOK, "challenges")
		// From another IP address, the farmer gets contracts again.
		farmers[3].ip = "198.51.100.2"
		farmers[3].ask(t, "GET", farmers[3].at("chunk"), nil).want(t, http.StatusOK, `"seed"`)
		// Two tokens still count at the first IP address.
		news, err := h.Store.FarmersSince(t.Context(), 0, h.Now())
		must(t, err)
		n := 0
		for _, f := range news.Changed {
			if f.IP == here {
				n++
			}
		}
		if n != 2 {
			t.Errorf("%d tokens at %s, want 2", n, here)
		}
	})
}

// An attacker registers tokens at one IP address, and then uses them from a second
// one. It gets as many tokens as two IP addresses may have, and no more.
func TestUseElsewhereFreesNoQuota(t *testing.T) {
	onEach(t, func(p *plan) { p.idle, p.cfg.Contracts.TokensPerIP = true, 2 }, func(t *testing.T, h *harness) {
		const here, there = "198.51.100.1", "198.51.100.2"
		tokens := 0
		for range 3 {
			for range 5 {
				got := h.ask(t, "GET", api+"/new/"+address, nil, from, here)
				if got.status != http.StatusOK {
					break
				}
				tokens++
				token := decodeOK[struct{ Token string }](t, got).Token
				h.ask(t, "GET", api+"/heartbeat/"+token, nil, from, there).want(t, http.StatusOK, token)
			}
			h.Clock.Advance(2 * time.Minute)
		}
		if tokens != 4 {
			t.Errorf("%d tokens, want 4", tokens)
		}
	})
}

// A farmer whose requests alternate between two networks, or between the addresses of
// one IPv6 network, must not cause a write with each request.
func TestAlternatingAddressesCauseFewWrites(t *testing.T) {
	onEach(t, func(p *plan) { p.idle = true }, func(t *testing.T, h *harness) {
		f := h.newFarmer(t, 1)
		use := func(ip, want string) {
			t.Helper()
			f.ip = ip
			f.ask(t, "GET", f.at("heartbeat"), nil).want(t, http.StatusOK, "token")
			if got := f.record(t).IP; got != want {
				t.Errorf("after a request from %s, the token is at %s, want %s", ip, got, want)
			}
		}
		const first, second, near = "198.51.100.1", "2001:db8::1", "2001:db8::ffff:2"
		use(first, first)
		for range 3 {
			use(second, first)
			use(first, first)
		}
		h.Clock.Advance(time.Minute)
		use(second, second)
		h.Clock.Advance(time.Minute)
		use(near, second) // the same network
		use(first, first)
	})
}

// The node must store or refuse a long address, and must not fail.
func TestLongAddress(t *testing.T) {
	onEach(t, func(p *plan) { p.idle = true }, func(t *testing.T, h *harness) {
		for _, payload := range []int{1, 20, 32, 40, 41, 42, 43, 44, 50, 60, 80, 90} {
			long := base58.CheckEncode(bytes.Repeat([]byte{0xff}, payload), 0)
			got := h.ask(t, "GET", api+"/new/"+long, nil, from, fmt.Sprintf("203.0.113.%d", payload))
			if got.status != http.StatusOK && got.status != http.StatusBadRequest {
				t.Errorf("%d characters: %d %s", len(long), got.status, got.body)
			}
			if strings.Contains(got.body, `"token"`) {
				checkListed(t, h, long)
			}
		}
	})
}

func checkListed(t *testing.T, h *harness, address string) {
	t.Helper()
	if list := h.ask(t, "GET", api+"/status/list", nil); !strings.Contains(list.body, `"`+address+`"`) {
		t.Errorf("%s got a token, but it is not in the list of farmers", address)
	}
}
