//go:build attacks

package attacks

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/driveshare/downstream-node/internal/testenv"
)

// take sends one bare request for contracts and returns how many contracts the
// response holds. If hangUp is true, it reads only the beginning of the response, and
// returns 0.
func (a *attacker) take(token, size string, hangUp bool) int {
	a.t.Helper()
	resp, err := a.http.Get(a.base + "/chunk/" + token + "/" + size)
	testenv.Must(a.t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0
	}
	if hangUp {
		var one [1]byte
		_, _ = resp.Body.Read(one[:])
		return 0
	}
	var list struct{ Chunks []json.RawMessage }
	testenv.Must(a.t, json.NewDecoder(resp.Body).Decode(&list))
	return len(list.Chunks)
}
