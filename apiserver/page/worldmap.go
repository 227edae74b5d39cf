package page

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/driveshare/downstream-node/internal/node"
	"github.com/driveshare/downstream-node/internal/roster"
)

// The map uses the Equal Earth projection of Šavrič, Patterson and Jenny (2018). This
// projection keeps areas in proportion. The map shows the latitudes from southernmost
// to northernmost.
const (
	mapWidth     = 1000.0
	northernmost = 84.0  // degrees
	southernmost = -57.0 // degrees
)

// mapHeight follows from the projection and the southernmost latitude.
var mapHeight = func() float64 { _, y := project(southernmost, meridian); return math.Ceil(y) }()

// meridian is the longitude of the map's centre, in degrees. With this one, both ends of the
// map are in the Bering Strait, so that no land is cut.
const meridian = 11.0

// project returns a place's point on the map. The origin is the upper left
// corner.
func project(lat, lon float64) (x, y float64) {
	if lon -= meridian; lon < -180 {
		lon += 360
	}
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

// cluster joins places that would overlap on the map. The map shows it as one circle
// at its largest place.
type cluster struct {
	X, Y            float64
	Farmers, Online int64
	Name            string // the name of the largest place
	Places          int64
}

// The radii of the largest cluster on the whole map and of the smallest circle, in map units. No
// circle covers another one, because clusters are at least clusterReach apart.
const largestRadius, smallestRadius = clusterReach / 2, 2.5

// radiusOf returns the radius of a circle for a number of farmers. The area of the circle grows with
// that number, at every zoom level by the same scale; only the smallest circles are larger than that,
// because nobody would see them. largest is the number of the largest cluster on the whole map. On a
// map with few farmers, one farmer has the area that it has among 20.
func radiusOf(farmers, largest int64) float64 {
	return max(smallestRadius, largestRadius*math.Sqrt(float64(farmers)/float64(max(largest, 20))))
}

// spot is a cluster as the map draws it: a circle for all farmers, and in it one for those that are
// online. The scripts use the radii in the scale of the map.
type spot struct {
	cluster
	Radius, Inner float64
}

func spotsOf(clusters []cluster, largest int64) []spot {
	spots := make([]spot, len(clusters))
	for i, c := range clusters {
		r := radiusOf(c.Farmers, largest)
		spots[i] = spot{c, r, r * math.Sqrt(float64(c.Online)/float64(c.Farmers))}
	}
	slices.SortStableFunc(spots, func(a, b spot) int { return cmp.Compare(b.Farmers, a.Farmers) }) // small ones in front
	return spots
}

// labelSize is the size of a label's text, in map units.
const labelSize = 9.5

// Label returns the count, or "" if the circle is too small for it.
func (s spot) Label() string {
	label := short(s.Farmers)
	if s.Radius < labelSize*(0.3+0.3*float64(len(label))) {
		return ""
	}
	return label
}

// legendOf returns circles for round numbers of farmers, as examples of the scale, side by side.
func legendOf(largest int64) (spots []spot) {
	number := int64(roundStep(float64(max(largest, 20))/10, false))
	for i, n := range []int64{max(1, number/10), number, 5 * number} {
		r := radiusOf(n, largest)
		spots = append(spots, spot{cluster{X: 30 + 190*float64(i), Y: 2*largestRadius + 8 - r, Farmers: n}, r, r})
	}
	return spots
}

// Title describes the circle in words.
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

// clusterReach is the maximum distance at which a place joins a cluster at zoom 0,
// in map units.
const clusterReach = 30.0

// clustersOf joins places that are too close to each other at the zoom level. It
// processes the places from the largest to the smallest. Each place joins the nearest
// cluster within reach. If there is none, the place starts a new cluster.
func clustersOf(places []node.Place, zoom int) []cluster {
	reach := clusterReach / math.Exp2(float64(zoom))
	points := slices.Clone(places)
	slices.SortStableFunc(points, func(a, b node.Place) int { return cmp.Compare(b.Farmers, a.Farmers) })
	type cell struct{ x, y int }
	seeds := map[cell][]int{} // indexes of clusters, by the cell of the cluster's first place
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

// knownPlace returns the known parts of a farmer's location. l is nil if the location is
// unknown.
func knownPlace(l *node.Location) string {
	if l == nil {
		return "not known"
	}
	known := slices.DeleteFunc([]string{l.City, l.State, l.Country}, func(part string) bool { return part == "" })
	return cmp.Or(strings.Join(known, ", "), "not known")
}

// country counts the farmers of a country.
type country struct {
	Name            string
	Farmers, Online int64
	Share           float64 // Farmers in percent of the largest country's Farmers
}

// countriesOf returns the countries of a view, the largest first. It returns none if no country is known.
func countriesOf(counts []node.Place) (all []country) {
	if len(counts) == 1 && counts[0].Country == roster.Unknown {
		return nil
	}
	for _, c := range counts {
		all = append(all, country{c.Country, c.Farmers, c.Online, 100 * float64(c.Farmers) / float64(counts[0].Farmers)})
	}
	return all
}

// topology is the part of a TopoJSON file that the outline needs. An arc is a line
// that neighbouring countries can share. Each point of an arc is the difference to
// the previous point.
type topology struct {
	Transform struct{ Scale, Translate [2]float64 }
	Arcs      [][][2]float64
	Objects   struct {
		Countries struct{ Geometries []geometry }
	}
}

type geometry struct {
	Type string
	Arcs json.RawMessage
	ID   string
}

// antarctica is the ISO 3166 number of Antarctica, which the map leaves out.
const antarctica = "010"

// outlineScale is the number of outline units in a map unit. The coordinates of the
// outline are whole numbers.
const outlineScale = 10

// outlineOf draws the countries of a TopoJSON file as an SVG with one path. The pages
// refer to the path and set its colour.
func outlineOf(topojson []byte) ([]byte, error) {
	var t topology
	if err := json.Unmarshal(topojson, &t); err != nil {
		return nil, fmt.Errorf("map outline: %w", err)
	}
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg"><path id="land" d="`)
	for _, g := range t.Objects.Countries.Geometries {
		if g.ID == antarctica {
			continue
		}
		polygons, err := g.polygons()
		if err != nil {
			return nil, fmt.Errorf("map outline: country %s: %w", g.ID, err)
		}
		for _, rings := range polygons {
			for _, ring := range rings {
				t.draw(&b, ring)
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return []byte(b.String()), nil
}

// polygons returns a country's polygons. A polygon is a list of rings, and a
// ring is a list of arc numbers.
func (g geometry) polygons() (polygons [][][]int, err error) {
	if g.Type == "Polygon" {
		polygons = make([][][]int, 1)
		err = json.Unmarshal(g.Arcs, &polygons[0])
		return polygons, err
	}
	err = json.Unmarshal(g.Arcs, &polygons)
	return polygons, err
}

// draw writes a ring: its first point, then the difference from each point to the
// next. If a ring crosses the antimeridian, its longitudes continue beyond 180
// degrees, so that Russia is drawn in one piece.
func (t *topology) draw(b *strings.Builder, ring []int) {
	type point struct{ x, y int }
	var points []point
	var lastLon float64
	for _, i := range ring {
		for _, p := range t.line(i) {
			lon := p[0]
			switch {
			case len(points) > 0:
				lon -= 360 * math.Round((lon-lastLon)/360)
			case lon < meridian-180:
				lon += 360
			}
			lastLon = lon
			x, y := project(p[1], lon)
			next := point{int(math.Round(outlineScale * x)), int(math.Round(outlineScale * y))}
			if len(points) == 0 || next != points[len(points)-1] {
				points = append(points, next)
			}
		}
	}
	if len(points) < 4 {
		return // the ring is too small to see
	}
	b.WriteString("M" + strconv.Itoa(points[0].x) + " " + strconv.Itoa(points[0].y) + "l")
	for i := 1; i < len(points)-1; i++ { // the last point equals the first
		step(b, points[i].x-points[i-1].x)
		step(b, points[i].y-points[i-1].y)
	}
	b.WriteByte('z')
}

// step writes a number after another number. A minus sign separates the two numbers.
// If there is no minus sign, step writes a space before the number.
func step(b *strings.Builder, n int) {
	if n >= 0 {
		b.WriteByte(' ')
	}
	b.WriteString(strconv.Itoa(n))
}

// line returns the points of arc i as longitude and latitude. If i is negative, it
// returns the points of arc ^i in reverse order.
func (t *topology) line(i int) (points [][2]float64) {
	var x, y float64
	scale, origin := t.Transform.Scale, t.Transform.Translate
	for _, p := range t.Arcs[max(i, ^i)] {
		x, y = x+p[0], y+p[1]
		points = append(points, [2]float64{x*scale[0] + origin[0], y*scale[1] + origin[1]})
	}
	if i < 0 {
		slices.Reverse(points)
	}
	return points
}
