package roster

import (
	"cmp"
	"math"
	"slices"

	"github.com/driveshare/downstream-node/internal/node"
)

// maxPlaces is how many places a map is given at most.
const maxPlaces = 2000

// Places gives the farmers whose place is known by place, the largest first.
// Places that are too many for a map are merged where they lie in the same
// square of a grid, which is as fine as can be.
func (v *View) Places() []node.Place { return v.places() }

func (v *View) gather(limit int) []node.Place {
	places := v.exactPlaces()
	merged := places
	for degrees := 0.25; len(merged) > limit; degrees *= 2 {
		merged = mergePlaces(places, degrees)
	}
	return merged
}

func (v *View) exactPlaces() []node.Place {
	type name struct {
		lat, lon      float64
		country, city string
	}
	at := map[name]int{}
	var places []node.Place
	for _, e := range v.farmers {
		l := e.Location
		if l == nil || l.Lat == 0 && l.Lon == 0 {
			continue // a location without coordinates
		}
		n := name{l.Lat, l.Lon, l.Country, l.City}
		i, ok := at[n]
		if !ok {
			i = len(places)
			at[n] = i
			places = append(places, node.Place{Lat: l.Lat, Lon: l.Lon, Country: l.Country, City: l.City})
		}
		places[i].Farmers++
		if e.Uptime.Online(v.Time) {
			places[i].Online++
		}
	}
	sortPlaces(places)
	return places
}

// mergePlaces puts those of one square where their farmers are on average,
// under the name of the largest: the first, as places are sorted.
func mergePlaces(places []node.Place, degrees float64) []node.Place {
	type square struct{ lat, lon float64 }
	at := map[square]int{}
	var merged []node.Place
	for _, p := range places {
		s := square{math.Floor(p.Lat / degrees), math.Floor(p.Lon / degrees)}
		i, ok := at[s]
		if !ok {
			at[s] = len(merged)
			merged = append(merged, p)
			continue
		}
		m := &merged[i]
		weight := float64(p.Farmers) / float64(m.Farmers+p.Farmers)
		m.Lat += (p.Lat - m.Lat) * weight
		m.Lon += (p.Lon - m.Lon) * weight
		m.Farmers += p.Farmers
		m.Online += p.Online
	}
	sortPlaces(merged)
	return merged
}

func sortPlaces(places []node.Place) {
	slices.SortFunc(places, func(a, b node.Place) int {
		return cmp.Or(cmp.Compare(b.Farmers, a.Farmers), cmp.Compare(a.Country, b.Country), cmp.Compare(a.City, b.City),
			cmp.Compare(a.Lat, b.Lat), cmp.Compare(a.Lon, b.Lon))
	})
}
