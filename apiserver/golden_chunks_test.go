package apiserver_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/app"
)

// fewChallenges sets a small number of challenges, so that the tags are short.
var fewChallenges = heartbeat.EncodeOptions{Challenges: 2}

func goldenChunk(t *testing.T, s *transcript) {
	f := s.newFarmer(t, 1)
	path := "/chunk/" + f.token.Hex()
	s.comment("the inventory is empty")
	s.get(t, s.replica, path, from, f.ip)
	for i, size := range []int64{100, 110, 200, 40_000} {
		s.stock(t, fmt.Sprintf("seed %d", i), size, fewChallenges)
	}
	s.comment("invalid sizes, and sizes smaller than every chunk")
	for _, size := range []string{"-1", "1.5", "many", "+5", "0", "99"} {
		s.get(t, s.replica, path+"/"+size, from, f.ip)
	}
	s.comment("the largest chunk that fits, then chunks that fit in the remaining bytes")
	s.get(t, s.replica, path+"/350", from, f.ip)
	s.comment("the default size is 32768, which is too small for the last chunk")
	s.get(t, s.replica, path, from, f.ip)
	s.comment("all remaining chunks, then an empty inventory")
	s.get(t, s.replica, path+"/9223372036854775807", from, f.ip)
	s.get(t, s.replica, path, from, f.ip)

	s.comment("an unknown token; an invalid token")
	s.get(t, s.replica, "/chunk/"+strings.Repeat("f", 32))
	s.get(t, s.replica, "/chunk/token/100")

	for i := range 3 {
		s.stock(t, fmt.Sprintf("more %d", i), 100+int64(i), fewChallenges)
	}
	bound := s.open(t, func(c *app.Config) { c.Contracts.ContractsPerRequest = 1 })
	s.comment("at most one contract for each request")
	s.get(t, bound, path, from, f.ip)
	full := s.open(t, func(c *app.Config) { c.Contracts.BytesPerAddress = 1000 })
	s.comment("the SJCX address has more bytes than its limit")
	s.get(t, full, path, from, f.ip)

	crowd := s.open(t, func(c *app.Config) { c.Contracts.TokensPerIP = 1 })
	late := s.newFarmer(t, 2)
	s.comment("the token moves to an IP address that already has the maximum number of tokens")
	s.get(t, crowd, "/chunk/"+late.token.Hex(), from, f.ip)
	s.get(t, crowd, path+"/100", from, f.ip)
}

func goldenChallenge(t *testing.T, s *transcript) {
	f := s.newFarmer(t, 1)
	path := "/challenge/" + f.token.Hex()
	s.comment("the token has no contracts")
	s.get(t, s.replica, path, from, f.ip)
	s.stock(t, "one", 100, fewChallenges)
	s.stock(t, "two", 90, fewChallenges)
	one, two := f.take(t, 100)[0], f.take(t, 90)[0]
	unknown := strings.Repeat("0", 64)
	askAll := func() {
		s.get(t, s.replica, path+"/"+one.FileHash, from, f.ip)
		s.get(t, s.replica, path+"/"+two.FileHash, from, f.ip)
		s.get(t, s.replica, path, from, f.ip)
		s.post(t, s.replica, path, string(asJSON(t, map[string][]string{
			"hashes": {two.FileHash, unknown, one.FileHash, "not a hash", two.FileHash, strings.ToUpper(one.FileHash)},
		})), from, f.ip)
	}

	s.comment("the contracts were handed out a moment ago")
	askAll()
	s.comment("the first contract is proven, and 12.5 s have passed")
	s.accept(t, f, one)
	s.Clock.Advance(interval / 24)
	askAll()
	s.comment("the due time has passed: the first contract has its next challenge, the second has expired")
	s.Clock.Advance(interval - interval/24)
	askAll()
	s.comment("the last challenge of the first contract is proven")
	f.next(t, &one)
	s.accept(t, f, one)
	askAll()
	s.Clock.Advance(interval)
	askAll()
	s.comment("both contracts have expired")
	s.Clock.Advance(interval)
	askAll()

	s.comment("an unknown contract; an unknown token")
	s.get(t, s.replica, path+"/"+unknown, from, f.ip)
	s.get(t, s.replica, path+"/hash", from, f.ip)
	s.get(t, s.replica, "/challenge/token")
	s.get(t, s.replica, "/challenge/token/"+one.FileHash)
	s.post(t, s.replica, "/challenge/"+strings.Repeat("f", 32), `{"hashes": []}`)
	s.comment("wrong bodies")
	for _, body := range []string{
		`{"hashes": []}`, "", "{", "[]", "null", "{}", `{"hashes": {}}`, `{"hashes": [1]}`, `{"hashes": ["", null]}`, `{"hashes": [""]}`, `{"hashes": ["`, `{"hashes": ["x"`,
		`{"more": [{}], "hashes": ["x"], "and": 1}`, `{"hashes": ["1","2","3","4","5","6","7"]}`, `{"hashes": ["` + strings.Repeat("x", 5000) + `"]}`,
	} {
		s.post(t, s.replica, path, body, from, f.ip)
	}
}
