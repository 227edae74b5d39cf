package geo

import (
	"hash/fnv"

	"github.com/driveshare/downstream-node/internal/node"
)

// invented are the places that Invent chooses from.
var invented = []node.Location{
	{Country: "Iceland", City: "Reykjavik", Lat: 64.15, Lon: -21.94},
	{Country: "Portugal", City: "Lisbon", Lat: 38.72, Lon: -9.14},
	{Country: "Germany", City: "Leipzig", Lat: 51.34, Lon: 12.37},
	{Country: "Finland", City: "Tampere", Lat: 61.50, Lon: 23.79},
	{Country: "Kenya", City: "Nairobi", Lat: -1.29, Lon: 36.82},
	{Country: "South Africa", City: "Cape Town", Lat: -33.92, Lon: 18.42},
	{Country: "India", City: "Pune", Lat: 18.52, Lon: 73.86},
	{Country: "Japan", City: "Osaka", Lat: 34.69, Lon: 135.50},
	{Country: "Australia", City: "Perth", Lat: -31.95, Lon: 115.86},
	{Country: "New Zealand", City: "Wellington", Lat: -41.29, Lon: 174.78},
	{Country: "Canada", City: "Calgary", Lat: 51.05, Lon: -114.07},
	{Country: "United States", City: "Atlanta", Lat: 33.75, Lon: -84.39},
	{Country: "Mexico", City: "Puebla", Lat: 19.04, Lon: -98.21},
	{Country: "Brazil", City: "Recife", Lat: -8.05, Lon: -34.88},
	{Country: "Chile", City: "Valdivia", Lat: -39.81, Lon: -73.25},
}

// Invent returns a place for a farmer of the demo, whose IP address has none. The place depends on
// the text only. The city's name says that the place is invented, and the record of the farmer keeps it.
func Invent(text string) *node.Location {
	h := fnv.New32a()
	h.Write([]byte(text)) // it never fails
	place := invented[h.Sum32()%uint32(len(invented))]
	place.City += " (invented)"
	return &place
}
