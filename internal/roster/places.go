package roster

import (
	"cmp"
	"math"
	"slices"

	"github.com/driveshare/downstream-node/internal/node"
)

// maxPlaces is the maximum number of places that Places returns.
const maxPlaces = 2000

// Places counts farmers by place, the largest place first. Farmers without a
// known place are left out. If there are more than maxPlaces places, it merges the
// places in each square of a grid. It tries coarser grids until the limit is met.
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
		if l == nil || !l.HasCoordinates() {
			continue
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

// Countries counts the farmers of each country, the largest country first. Farmers without a known country
// count as Unknown.
func (v *View) Countries() []node.Place {
	at := map[string]int{}
	var countries []node.Place
	for _, e := range v.farmers {
		name := e.country()
		i, ok := at[name]
		if !ok {
			i = len(countries)
			at[name] = i
			countries = append(countries, node.Place{Country: name})
		}
		countries[i].Farmers++
		if e.Uptime.Online(v.Time) {
			countries[i].Online++
		}
	}
	sortPlaces(countries)
	return countries
}

// mergePlaces merges the places of each square. A merged place lies at the mean
// position of its farmers and has the name of its largest place. The largest place
// must come first in places.
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
