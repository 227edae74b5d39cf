package geo

import (
	"fmt"
	"strings"
	"testing"

	"github.com/driveshare/downstream-node/internal/node"
)

// An invented place is on the map, says that it is invented, and depends only on the text.
func TestInvent(t *testing.T) {
	t.Parallel()
	seen := map[node.Location]bool{}
	for i := range 300 {
		place := Invent(fmt.Sprint("address ", i))
		if !place.HasCoordinates() || place.Country == "" || !strings.HasSuffix(place.City, " (invented)") || *place != *Invent(fmt.Sprint("address ", i)) {
			t.Fatalf("%+v", place)
		}
		seen[*place] = true
	}
	if len(seen) != len(invented) {
		t.Errorf("%d of %d places", len(seen), len(invented))
	}
}
