package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

var header = []string{"figure", "median", "least – most", "beside it, in the same run", "ratio", "wanted"}

// Print writes the figures as one table, in Markdown that is aligned for
// reading as text.
func Print(w io.Writer, figures []Figure) {
	rows := [][]string{header}
	for _, f := range figures {
		rows = append(rows, []string{f.Name, f.value(), f.spread(), f.Limit, f.ratio(), f.targets()})
	}
	widths := make([]int, len(header))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for i, row := range rows {
		printRow(w, row, widths)
		if i == 0 {
			for _, width := range widths {
				fmt.Fprint(w, "|", strings.Repeat("-", width+2))
			}
			fmt.Fprintln(w, "|")
		}
	}
}

func printRow(w io.Writer, row []string, widths []int) {
	for i, cell := range row {
		fmt.Fprint(w, "| ", cell, strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+1))
	}
	fmt.Fprintln(w, "|")
}
