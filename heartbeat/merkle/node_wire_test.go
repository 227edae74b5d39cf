package merkle

import (
	"encoding/base64"
	"testing"
)

// Nodes are written as encoding/base64 would, every value of every byte.
func TestAppendNodes(t *testing.T) {
	t.Parallel()
	var nodes []byte
	want := "before"
	for i := range 256 {
		node := make([]byte, hashSize)
		for k := range node {
			node[k] = byte(i + 37*k)
		}
		nodes = append(nodes, node...)
		want += `"` + base64.StdEncoding.EncodeToString(node) + `",`
	}
	if got := appendNodes([]byte("before"), nodes); string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
}
