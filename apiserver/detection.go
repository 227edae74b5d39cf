package apiserver

import (
	"context"
	"math"
	"net/http"
	"strconv"

	"github.com/driveshare/downstream-node/internal/store"
)

// detectionResponse says how surely the node catches a farmer that has lost a part of a
// file.
type detectionResponse struct {
	Lost        float64          `json:"lost"`
	Within      int64            `json:"within"`      // seconds
	Challenges  int              `json:"challenges"`  // the number of challenges in this time
	Probability *probability     `json:"probability"` // of the weakest class; nil if there is none
	Classes     []detectionClass `json:"classes"`
}

// detectionClass is the files of one scheme and size. A scheme has several entries for a
// size if the node has several keys of it.
type detectionClass struct {
	Scheme      string      `json:"scheme"`
	Size        int64       `json:"size"`
	Probability probability `json:"probability"`
}

// probability has four decimals in JSON. It is rounded down, so that the claim holds.
type probability float64

func (p probability) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, math.Floor(float64(p)*1e4)/1e4, 'f', 4, 64), nil
}

// statusDetection handles GET /status/detection.
func (s *Server) statusDetection(r *http.Request) (detectionResponse, error) {
	classes, err := s.Store.WaitingClasses(r.Context())
	if err != nil {
		return detectionResponse{}, err
	}
	return s.detect(classes)
}

func (s *Server) detect(classes []store.Class) (detectionResponse, error) {
	d := s.Detector
	response := detectionResponse{Lost: d.Lost, Within: int64(d.Within.Seconds()), Challenges: d.Challenges, Classes: []detectionClass{}}
	for _, class := range classes {
		key, err := s.Keys.Key(class.KeyID)
		if err != nil {
			return response, err
		}
		caught, err := d.Probability(s.Keys, class)
		if err != nil {
			return response, err
		}
		p := probability(caught)
		response.Classes = append(response.Classes, detectionClass{string(key.Type()), class.Size, p})
		if response.Probability == nil || p < *response.Probability {
			response.Probability = &p
		}
	}
	return response, nil
}

// detectionOf returns the probability for the weakest class of a farmer's contracts, or
// nil if the farmer has none.
func (s *Server) detectionOf(ctx context.Context, farmerID string) (*probability, error) {
	classes, err := s.Store.HeldClasses(ctx, farmerID)
	if err != nil {
		return nil, err
	}
	response, err := s.detect(classes)
	return response.Probability, err
}
