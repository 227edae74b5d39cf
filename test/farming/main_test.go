package farming

import (
	"testing"

	"github.com/driveshare/downstream-node/test/deployment"
)

var binary string

func TestMain(m *testing.M) { deployment.Main(m, &binary) }
