package apiserver_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/store"
)

func goldenAnswer(t *testing.T, s *transcript) {
	f := s.newFarmer(t, 1)
	c, guessed, late := f.takeOne(t, "right"), f.takeOne(t, "guessed"), f.takeOne(t, "late")
	path := "/answer/" + f.token.Hex() + "/"
	send := func(c contract, proof any) {
		s.post(t, s.replica, path+c.FileHash, string(asJSON(t, map[string]any{"proof": proof})), from, f.ip)
	}
	s.comment("bodies without a proof")
	for _, body := range []string{"", "{", "{}", "[]", "null", `{"proof"`, `{"proof": "` + strings.Repeat("x", 5000) + `"}`} {
		s.post(t, s.replica, path+c.FileHash, body, from, f.ip)
	}
	s.comment("a correct proof, the same proof again, a different proof")
	send(c, f.prove(t, c, nil))
	send(c, f.prove(t, c, nil))
	send(c, "another")
	s.comment("a proof for another file; then malformed proofs, which count as one wrong proof")
	send(guessed, f.prove(t, c, nil))
	send(guessed, f.prove(t, c, nil))
	for _, proof := range []any{nil, 1, "text", []int{}, map[string]int{}} {
		send(guessed, proof)
	}
	s.comment("a third wrong proof; then a correct proof, which is refused because of the limit of wrong proofs")
	send(guessed, f.prove(t, late, nil))
	send(guessed, f.prove(t, guessed, nil))
	s.comment("an unknown contract; an invalid hash; an unknown token")
	s.post(t, s.replica, path+strings.Repeat("0", 64), `{"proof": 1}`, from, f.ip)
	s.post(t, s.replica, path+"hash", `{"proof": 1}`, from, f.ip)
	s.post(t, s.replica, "/answer/token/"+c.FileHash, `{"proof": 1}`)
	s.post(t, s.replica, "/answer/"+strings.Repeat("f", 32)+"/"+c.FileHash, `{"proof": 1}`)
	s.comment("the due time has passed: the contract without a proof has expired, the other has its next challenge")
	s.Clock.Advance(interval)
	send(late, f.prove(t, late, nil))
	send(c, f.prove(t, c, nil))
	f.next(t, &c)
	send(c, f.prove(t, c, nil))
}

func goldenAnswers(t *testing.T, s *transcript) {
	f := s.newFarmer(t, 1)
	right, wrong, spent, late := f.takeOne(t, "right"), f.takeOne(t, "wrong"), f.takeOne(t, "spent"), f.takeOne(t, "late")
	for i := range s.App.Config.Contracts.WrongAnswers {
		s.judge(t, f, spent, wrongProof(t, i), false)
	}
	path := "/answer/" + f.token.Hex()
	send := func(lines ...proofOf) {
		s.post(t, s.replica, path, string(asJSON(t, proofs{lines})), from, f.ip)
	}
	all := []proofOf{
		{right.FileHash, f.prove(t, right, nil)},
		{wrong.FileHash, json.RawMessage(`"wrong"`)},
		{spent.FileHash, f.prove(t, spent, nil)},
		{strings.Repeat("0", 64), json.RawMessage("1")},
		{"hash", json.RawMessage("1")},
	}
	s.comment("every outcome; then the same request again")
	send(all...)
	send(all...)
	send(proofOf{right.FileHash, json.RawMessage(`"another"`)})
	s.Clock.Advance(interval)
	s.comment("the due time has passed without a proof")
	send(proofOf{late.FileHash, f.prove(t, late, nil)}, proofOf{right.FileHash, f.prove(t, right, nil)})

	s.comment("an unknown token")
	s.post(t, s.replica, "/answer/token", `{"proofs": []}`)
	s.comment("wrong bodies")
	for _, body := range []string{
		`{"proofs": []}`, "", "{", "{}", "[]", "null", `{"proofs": {}}`, `{"proofs": [`,
		`{"a": [[]], "proofs": [{"file_hash": "x", "proof": 1, "more": 1}], "b": {}} and more`,
		`{"proofs": [` + strings.Repeat(`{"file_hash": "x", "proof": 1},`, 6) + `{"file_hash": "x", "proof": 1}]}`,
		`{"proofs": [{"file_hash": "` + strings.Repeat("x", 5000) + `", "proof": 1}]}`,
	} {
		s.post(t, s.replica, path, body, from, f.ip)
	}
}

// wrongProof returns a proof that has the right form but is wrong. Each i gives a
// different proof.
func wrongProof(t testing.TB, i int) json.RawMessage {
	t.Helper()
	return json.RawMessage(fmt.Sprintf(`{"leaf": {"index": %d, "blob": ""}, "branch": {"rows": []}}`, 100+i))
}

// goldenSwizzle shows a contract with the scheme Swizzle. Swizzle chooses tags and
// challenges at random, so goldenSwizzle reads the chunk from a file.
func goldenSwizzle(t *testing.T, s *transcript) {
	f := s.newFarmer(t, 1)
	s.get(t, s.replica, "/heartbeat/"+f.token.Hex(), from, f.ip)
	s.addChunk(t, s.storedChunk(t, "testdata/swizzle-chunk.json"))
	got := s.get(t, s.replica, "/chunk/"+f.token.Hex()+"/100", from, f.ip)
	c := decodeOK[struct{ Chunks []contract }](t, got).Chunks[0]
	path := "/answer/" + f.token.Hex() + "/" + c.FileHash
	s.get(t, s.replica, "/challenge/"+f.token.Hex()+"/"+c.FileHash, from, f.ip)
	s.post(t, s.replica, path, `{"proof": ""}`, from, f.ip)
	s.post(t, s.replica, path, `{"proof": "AAAA"}`, from, f.ip)
	s.post(t, s.replica, path, string(asJSON(t, map[string]any{"proof": f.prove(t, c, nil)})), from, f.ip)
	s.comment("the next challenge is different")
	s.Clock.Advance(interval)
	f.next(t, &c)
	s.hide(string(c.Challenge), `"(random)"`)
	s.get(t, s.replica, "/challenge/"+f.token.Hex(), from, f.ip)
}

// storedChunk reads a chunk from a file. If the file is missing and -update is set,
// storedChunk writes it.
func (s *transcript) storedChunk(t *testing.T, path string) store.NewChunk {
	t.Helper()
	raw, err := os.ReadFile(path)
	if os.IsNotExist(err) && *update {
		chunk := s.encode(t, s.Keys.Current(), "seed", 100, heartbeat.EncodeOptions{})
		tag := new(strings.Builder)
		must(t, copyTo(tag, chunk.Tag))
		raw = asJSON(t, map[string]any{"challenge": chunk.Challenge, "state": chunk.State, "tag": []byte(tag.String())})
		must(t, os.WriteFile(path, append(raw, '\n'), 0o644))
	} else {
		must(t, err)
	}
	var stored struct{ Challenge, State, Tag string }
	must(t, json.Unmarshal(raw, &stored))
	chunk := s.encode(t, s.Keys.Current(), "seed", 100, heartbeat.EncodeOptions{})
	chunk.Challenge, chunk.State = fromBase64(t, stored.Challenge), fromBase64(t, stored.State)
	chunk.Tag = strings.NewReader(string(fromBase64(t, stored.Tag)))
	return chunk
}

func fromBase64(t *testing.T, text string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	must(t, err)
	return b
}

// goldenBusy shows a node whose queue is full. The node has no worker, and its queue has
// room for one job.
func goldenBusy(t *testing.T, s *transcript) {
	f := s.newFarmer(t, 1)
	c := f.takeOne(t, "seed")
	s.fillQueue(t)
	body := string(asJSON(t, map[string]any{"proof": f.prove(t, c, nil)}))
	s.post(t, s.replica, "/answer/"+f.token.Hex()+"/"+c.FileHash, body, from, f.ip)
	s.comment("the routes that need no worker still work")
	s.get(t, s.replica, "/challenge/"+f.token.Hex()+"/"+c.FileHash, from, f.ip)
}
