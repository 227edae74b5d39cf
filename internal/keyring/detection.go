package keyring

import (
	"sync"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/internal/store"
)

// Detector computes how surely the node catches a farmer that has lost a part of a
// file. It is safe for concurrent use.
type Detector struct {
	Lost       float64       // the part of the file that is lost
	Within     time.Duration // the time until the farmer must fail a challenge
	Challenges int           // the number of challenges in this time

	merkle int // the number of challenges of a Merkle file

	mu    sync.Mutex
	known map[store.Class]float64
}

// The loss and the time that a node without heartbeat.detection states.
const (
	statedLoss   = 0.01
	statedWithin = time.Hour
)

// maxClasses limits the classes in a Detector's memory. A node has one class for each
// size of its inventory.
const maxClasses = 1000

// Detector returns a detector for the configured loss and time, or for 1 % and one hour.
// interval is the time for each challenge.
func (c Config) Detector(interval time.Duration) *Detector {
	d := c.Detection
	if !d.Set() {
		d = DetectionConfig{Lost: statedLoss, Within: statedWithin}
	}
	return &Detector{
		Lost: float64(d.Lost), Within: max(d.Within, interval), Challenges: int(d.challenges(interval)),
		merkle: c.Challenges, known: map[store.Class]float64{},
	}
}

// Probability returns the probability that a farmer fails at least one challenge, if it
// has lost the part of a file of this class. It assumes that the file was encoded with
// the current configuration; see heartbeat.Heartbeat.Detection for the other assumptions.
func (d *Detector) Probability(keys *Ring, class store.Class) (float64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p, ok := d.known[class]; ok {
		return p, nil
	}
	key, err := keys.Key(class.KeyID)
	if err != nil {
		return 0, err
	}
	p := key.Detection(class.Size, d.Lost, d.Challenges, heartbeat.EncodeOptions{Challenges: d.merkle})
	if len(d.known) == maxClasses {
		clear(d.known)
	}
	d.known[class] = p
	return p, nil
}
