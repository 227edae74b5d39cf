package roster

import "strings"

// addresses are those of all farmers, in the order of their ids, in one text:
// looking through it is one pass over memory, where the farmers themselves lie
// scattered.
type addresses struct {
	text string // each address and a line's end
	ends []int  // of the lines
}

func (v *View) listAddresses() addresses {
	length := 0
	for _, e := range v.farmers {
		length += len(e.Address) + 1
	}
	var text strings.Builder
	text.Grow(length)
	ends := make([]int, len(v.farmers))
	for i, e := range v.farmers {
		text.WriteString(e.Address)
		text.WriteByte('\n')
		ends[i] = text.Len()
	}
	return addresses{text.String(), ends}
}

// search keeps the positions of the farmers that the query's search finds.
func (v *View) search(positions []int32, q Query) []int32 {
	found := v.found(q.Search)
	var kept []int32
	for _, at := range positions {
		if found[at] && (!q.Online || v.farmers[at].Uptime.Online(v.Time)) {
			kept = append(kept, at)
		}
	}
	return kept
}

// found says of each farmer whether its id begins with the word, or its address
// contains it.
func (v *View) found(word string) []bool {
	found := make([]bool, len(v.farmers))
	prefix := strings.ToLower(word)
	for at, _ := v.find(prefix); at < len(found) && strings.HasPrefix(v.farmers[at].ID, prefix); at++ {
		found[at] = true
	}
	if strings.Contains(word, "\n") {
		return found // it would be found across lines
	}
	all, at, line := v.addresses(), 0, 0
	for {
		next := strings.Index(all.text[at:], word)
		if next < 0 {
			return found
		}
		for all.ends[line] <= at+next {
			line++
		}
		found[line], at = true, all.ends[line]
	}
}
