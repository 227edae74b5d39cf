package merkle

import (
	"bytes"
	"crypto/sha256"
	"strconv"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat"
)

// naiveVerify is the verifier of the old node. It accepts a branch of any length,
// and it does not check on which side a tree node is.
func naiveVerify(root [hashSize]byte, index int64, p proof) bool {
	node := leafHash(p.blob, index)
	for _, row := range p.rows {
		if !bytes.Equal(row[0], node[:]) && !bytes.Equal(row[1], node[:]) {
			return false
		}
		node = nodeHash(row[0], row[1])
	}
	return p.index == index && node == root
}

// This test makes the first attack of PROTOCOL.md, section 7. An inner tree node is
// H(left || right), and a leaf is H(blob || index). If the bytes of right end with
// the index, the rest of left || right can be used as a blob. So a farmer can make
// such a proof from the tag, without the file.
func TestShortBranchAttackFails(t *testing.T) {
	t.Parallel()
	found := 0
	for range 8 {
		f := encode(t, new(0.01), 5000, heartbeat.EncodeOptions{})
		tag, err := parseTag(f.Tag)
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			challenge := f.Challenge(t)
			c, err := parseChallenge(challenge)
			if err != nil {
				t.Fatal(err)
			}
			forged, ok := forgeShortBranch(tag.tree, c.index)
			if !ok {
				continue
			}
			found++
			if !naiveVerify(tag.tree.root(), int64(c.index), forged) {
				t.Fatal("the naive verifier rejects the forged proof too")
			}
			if f.Verify(t, challenge, forged.marshal()) {
				t.Errorf("challenge %d: a forged proof with %d rows is valid", c.index, len(forged.rows))
			}
		}
	}
	// There are 80 challenges and 255 tree nodes. For each challenge, each tree
	// node allows the attack with a probability of 1/256.
	if found == 0 {
		t.Fatal("the attack works on none of the files")
	}
}

// forgeShortBranch makes a proof from the tag alone.
func forgeShortBranch(t tree, index int) (proof, bool) {
	ending := []byte(strconv.Itoa(index))
	for k := range t.width() - 1 {
		both := append(bytes.Clone(t.node(2*k+1)), t.node(2*k+2)...)
		if blob, ok := bytes.CutSuffix(both, ending); ok {
			p := proof{index: int64(index), blob: blob}
			for ; k > 0; k = (k - 1) / 2 {
				left := (k-1)/2*2 + 1
				p.rows = append(p.rows, [2][]byte{t.node(left), t.node(left + 1)})
			}
			return p, true
		}
	}
	return proof{}, false
}

// Each proof breaks exactly one condition of the verifier.
func TestBranchOfWrongShapeIsInvalid(t *testing.T) {
	t.Parallel()
	leaves := make([][hashSize]byte, 5)
	for i := range leaves {
		leaves[i] = leafHash(make([]byte, hashSize), int64(i))
	}
	tree := newTree(leaves)
	root := tree.root()
	for i, leaf := range leaves {
		if !validBranch(root, 3, int64(i), leaf, tree.branch(i)) {
			t.Errorf("the branch of leaf %d is not valid", i)
		}
		for other := range int64(8) {
			if other != int64(i) && validBranch(root, 3, other, leaf, tree.branch(i)) {
				t.Errorf("the branch of leaf %d is valid for leaf %d", i, other)
			}
		}
	}

	rows := tree.branch(2)
	above := nodeHash(rows[0][0], rows[0][1])
	if validBranch(root, 3, 1, above, rows[1:]) {
		t.Error("a branch that starts one level up is valid")
	}
	if !validBranch(root, 2, 1, above, rows[1:]) {
		t.Error("the case above fails for another reason")
	}
	if validBranch(root, 3, 2, leaves[2], append(rows, [2][]byte{root[:], {}})) {
		t.Error("a branch that continues above the root is valid")
	}

	// One sibling has the wrong length, but the branch leads to the root.
	odd := [2][]byte{leaves[0][:], make([]byte, 31)}
	if validBranch(sha256.Sum256(bytes.Join(odd[:], nil)), 1, 0, leaves[0], [][2][]byte{odd}) {
		t.Error("a sibling of 31 bytes is valid")
	}
}

// A blob of the wrong length is invalid even if its hash equals the leaf. Otherwise
// digits of the index could be part of the blob: "1" || "2" equals "12".
func TestBlobOfWrongLengthIsInvalid(t *testing.T) {
	t.Parallel()
	h, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 31, 32, 33, 63} {
		blob := make([]byte, size)
		s := fileState{challenges: 1, root: leafHash(blob, 0)}
		valid, err := h.Verify(s.marshal(), fileChallenge{}.marshal(), proof{blob: blob}.marshal())
		if err != nil {
			t.Fatal(err)
		}
		if valid != (size == hashSize) {
			t.Errorf("a blob of %d bytes: valid %v", size, valid)
		}
	}
}

// This test makes the second attack of PROTOCOL.md, section 7. 1% of a small file
// is rounded down to no bytes. A farmer can compute the hash of no bytes without
// the file.
func TestNothingChallengedAttackFails(t *testing.T) {
	t.Parallel()
	const size = 50
	fraction := 0.01
	nothing := bytes.NewReader(make([]byte, size))

	naiveChunk := int64(fraction * size)
	naive := encode(t, &fraction, size, heartbeat.EncodeOptions{ChunkSize: &naiveChunk})
	challenge := naive.Challenge(t)
	proof, err := new(Prover).Prove(t.Context(), nothing, size, naive.Tag, challenge)
	if err != nil {
		t.Fatal(err)
	}
	if !naive.Verify(t, challenge, proof) {
		t.Fatal("the attack fails on chunks of 0 bytes too")
	}

	ours := encode(t, &fraction, size, heartbeat.EncodeOptions{})
	challenge = ours.Challenge(t)
	if proof, err = new(Prover).Prove(t.Context(), nothing, size, ours.Tag, challenge); err != nil {
		t.Fatal(err)
	}
	if ours.Verify(t, challenge, proof) {
		t.Error("a farmer without the file has a valid proof")
	}
}
