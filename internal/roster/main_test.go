package roster

import (
	"testing"

	"github.com/driveshare/downstream-node/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }
