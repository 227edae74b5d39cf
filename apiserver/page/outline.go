package page

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// topology is what is needed here of TopoJSON: lines shared by the countries
// whose borders they are, as whole numbers that each add to the one before.
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

// antarctica is the one country without anyone to farm, by its number.
const antarctica = "010"

// outlineScale is how many of the outline's units there are in one of the map's:
// the outline is written in whole numbers.
const outlineScale = 10

// outlineOf draws the countries of a TopoJSON file as an SVG of one symbol,
// which pages use and colour.
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

// polygons are a country's, each a list of rings, each a list of lines.
func (g geometry) polygons() (polygons [][][]int, err error) {
	if g.Type == "Polygon" {
		polygons = make([][][]int, 1)
		err = json.Unmarshal(g.Arcs, &polygons[0])
		return polygons, err
	}
	err = json.Unmarshal(g.Arcs, &polygons)
	return polygons, err
}

// draw writes a ring: first its start, then the steps from point to point. A
// ring over the antimeridian goes on beyond it, so that Russia stays whole.
func (t *topology) draw(b *strings.Builder, ring []int) {
	type point struct{ x, y int }
	var points []point
	var lastLon float64
	for _, i := range ring {
		for _, p := range t.line(i) {
			lon := p[0]
			if len(points) > 0 {
				lon -= 360 * math.Round((lon-lastLon)/360)
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
		return // an island too small to see
	}
	b.WriteString("M" + strconv.Itoa(points[0].x) + " " + strconv.Itoa(points[0].y) + "l")
	for i := 1; i < len(points)-1; i++ { // the last is the first again
		step(b, points[i].x-points[i-1].x)
		step(b, points[i].y-points[i-1].y)
	}
	b.WriteByte('z')
}

// step writes a number after another: its sign parts them where it has one.
func step(b *strings.Builder, n int) {
	if n >= 0 {
		b.WriteByte(' ')
	}
	b.WriteString(strconv.Itoa(n))
}

// line is the points, as longitude and latitude, of a line by its number; the
// complement of a number is the line the other way round.
func (t *topology) line(i int) [][2]float64 {
	backwards := i < 0
	if backwards {
		i = ^i
	}
	arc := t.Arcs[i]
	points := make([][2]float64, len(arc))
	var x, y float64
	for k, p := range arc {
		x, y = x+p[0], y+p[1]
		at := k
		if backwards {
			at = len(arc) - 1 - k
		}
		points[at] = [2]float64{x*t.Transform.Scale[0] + t.Transform.Translate[0], y*t.Transform.Scale[1] + t.Transform.Translate[1]}
	}
	return points
}
