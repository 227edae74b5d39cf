package page

import (
	"cmp"
	"math"
	"slices"

	"github.com/driveshare/downstream-node/internal/node"
)

// The map is drawn in the Equal Earth projection of Šavrič, Patterson and Jenny
// (2018), so that a country is as large as it is. It is mapWidth wide, and cut
// off below where nobody farms.
const (
	mapWidth     = 1000.0
	northernmost = 84.0  // degrees
	southernmost = -57.0 // degrees
)

// mapHeight is as high as the cut leaves it.
var mapHeight = func() float64 { _, y := project(southernmost, 0); return math.Ceil(y) }()

// project gives a place's point on the map, from its upper left corner.
func project(lat, lon float64) (x, y float64) {
	x, y = equalEarth(lat, lon)
	_, top := equalEarth(northernmost, 0)
	east, _ := equalEarth(0, 180)
	scale := mapWidth / (2 * east)
	return mapWidth/2 + scale*x, scale * (top - y)
}

// equalEarth is equation (1) of the paper, for a sphere of radius 1.
func equalEarth(lat, lon float64) (x, y float64) {
	const a1, a2, a3, a4 = 1.340264, -0.081106, 0.000893, 0.003796
	t := math.Asin(math.Sqrt(3) / 2 * math.Sin(lat*math.Pi/180))
	t2 := t * t
	t6 := t2 * t2 * t2
	x = 2 * math.Sqrt(3) * lon * math.Pi / 180 * math.Cos(t) / (3 * (a1 + 3*a2*t2 + t6*(7*a3+9*a4*t2)))
	y = t * (a1 + a2*t2 + t6*(a3+a4*t2))
	return x, y
}

// cluster is the farmers of places that would be drawn over each other. It is
// drawn where the largest of them is.
type cluster struct {
	X, Y            float64
	Farmers, Online int64
	Name            string // of the largest place
	Places          int64
}

// Radius grows with the root of the farmers, so that areas compare. It is in
// the map's units at zoom 0, and in pixels wherever there are scripts.
func (c cluster) Radius() float64 {
	return min(3.5+0.7*math.Sqrt(float64(c.Farmers)), clusterReach*0.62)
}

// labelled is the radius of the smallest circle with a count in it.
const labelled = 8.0

// Label is the count, where there is room for it in the circle.
func (c cluster) Label() string {
	if c.Radius() < labelled {
		return ""
	}
	return short(float64(c.Farmers))
}

// Title says what the circle is.
func (c cluster) Title() string {
	name := c.Name
	switch {
	case c.Places == 2:
		name += " and one place nearby"
	case c.Places > 2:
		name += " and " + grouped(c.Places-1) + " places nearby"
	}
	return name + ": " + farmersIn(c.Farmers, c.Online)
}

func farmersIn(all, online int64) string {
	if all == 1 {
		if online == 1 {
			return "1 farmer, online"
		}
		return "1 farmer, offline"
	}
	return grouped(all) + " farmers, " + grouped(online) + " online"
}

// clusterReach is how near each other, at zoom 0, places are drawn as one.
const clusterReach = 26.0

// clustersOf draws places together that are nearer than the zoom can show
// apart: the largest place takes in what is in its reach, then the largest of
// those left.
func clustersOf(places []node.Place, zoom int) []cluster {
	reach := clusterReach / math.Exp2(float64(zoom))
	points := slices.Clone(places)
	slices.SortStableFunc(points, func(a, b node.Place) int { return cmp.Compare(b.Farmers, a.Farmers) })
	type cell struct{ x, y int }
	seeds := map[cell][]int{} // clusters by the cell that their seed is in
	var clusters []cluster
	for _, p := range points {
		x, y := project(p.Lat, p.Lon)
		home := cell{int(math.Floor(x / reach)), int(math.Floor(y / reach))}
		near, best := -1, reach*reach
		for dx := -1; dx <= 1; dx++ {
			for dy := -1; dy <= 1; dy++ {
				for _, i := range seeds[cell{home.x + dx, home.y + dy}] {
					c := clusters[i]
					if d := (c.X-x)*(c.X-x) + (c.Y-y)*(c.Y-y); d < best {
						near, best = i, d
					}
				}
			}
		}
		if near < 0 {
			near = len(clusters)
			seeds[home] = append(seeds[home], near)
			clusters = append(clusters, cluster{X: x, Y: y, Name: placeName(p)})
		}
		c := &clusters[near]
		c.Farmers += p.Farmers
		c.Online += p.Online
		c.Places++
	}
	return clusters
}

func placeName(p node.Place) string {
	switch {
	case p.Country == "":
		return "Unknown country"
	case p.City == "":
		return p.Country
	default:
		return p.City + ", " + p.Country
	}
}

// country is the farmers of one.
type country struct {
	Name            string
	Farmers, Online int64
	Share           float64 // of the largest country's farmers, in percent
}

// countriesOf adds places up by country, the largest first.
func countriesOf(places []node.Place) []country {
	byName := map[string]*country{}
	for _, p := range places {
		name := cmp.Or(p.Country, "Unknown")
		c := byName[name]
		if c == nil {
			c = &country{Name: name}
			byName[name] = c
		}
		c.Farmers += p.Farmers
		c.Online += p.Online
	}
	var all []country
	for _, c := range byName {
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b country) int {
		return cmp.Or(cmp.Compare(b.Farmers, a.Farmers), cmp.Compare(a.Name, b.Name))
	})
	for i := range all {
		all[i].Share = 100 * float64(all[i].Farmers) / float64(max(1, all[0].Farmers))
	}
	return all
}
