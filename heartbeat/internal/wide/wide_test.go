package wide

import (
	"bytes"
	cryptorand "crypto/rand"
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/driveshare/downstream-node/heartbeat/internal/heartbeattest"
	"github.com/driveshare/downstream-node/heartbeat/internal/kernel"
)

// moduli returns primes of 1024 bits near the largest and the smallest such prime,
// for which the kernels compute. It also returns odd numbers of other lengths.
func moduli() []*big.Int {
	one := big.NewInt(1)
	power := func(bits uint, less int64) *big.Int {
		p := new(big.Int).Lsh(one, bits)
		return p.Sub(p, big.NewInt(less))
	}
	half := power(1023, -1155)
	return []*big.Int{
		power(1024, 105), half, power(1024, 1), power(1023, 1), power(1021, 9),
		power(1000, 1), power(521, 1), big.NewInt(257), big.NewInt(251), big.NewInt(131),
	}
}

func sizeOf(p *big.Int) int { return (p.BitLen() + 7) / 8 }

// edgeCase returns a number of size bytes that tests carries and bounds. The number
// is 0, 1, all ones, p, a number next to p, a single limb or byte, or a random
// number.
func edgeCase(random *rand.Rand, p *big.Int, size int) []byte {
	b := make([]byte, size)
	switch random.IntN(9) {
	case 0:
	case 1:
		b[size-1] = 1
	case 2:
		fill(b, 0xff)
	case 3, 4:
		near := new(big.Int).Sub(p, big.NewInt(random.Int64N(3)))
		if n := sizeOf(near); n <= size {
			near.FillBytes(b)
		}
	case 5:
		b[random.IntN(size)] = 0xff
	case 6:
		fill(b[:min(size, 7)], 0xff)
	case 7:
		fill(b[random.IntN(size):], 0xff)
	default:
		for i := range b {
			b[i] = byte(random.Uint32())
		}
	}
	return b
}

func fill(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}

func number(b []byte) *big.Int { return new(big.Int).SetBytes(b) }

func TestSums(t *testing.T) {
	heartbeattest.EachKernel(t, Kernels, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		var sums Sums // Reset must clear the earlier sums
		for _, p := range moduli() {
			for _, rows := range []int{0, 1, 7, 8, 9, 20} {
				for _, bSize := range []int{p.BitLen() / 8, sizeOf(p)} {
					testSums(t, random, &sums, p, rows, bSize)
				}
			}
		}
	})
}

func testSums(t *testing.T, random *rand.Rand, sums *Sums, p *big.Int, rows, bSize int) {
	t.Helper()
	want := make([]big.Int, 1+random.IntN(3))
	sums.Reset(len(want), sizeOf(p), bSize)
	for range 3 {
		var a, b []byte
		for range rows {
			a = append(a, edgeCase(random, p, sizeOf(p))...)
			for j := range want {
				b = append(b, edgeCase(random, p, bSize)...)
				product := number(a[len(a)-sizeOf(p):])
				want[j].Add(&want[j], product.Mul(product, number(b[len(b)-bSize:])))
			}
		}
		sums.Add(a, b)
	}
	for j := range want {
		want[j].Mod(&want[j], p)
		for range 2 { // Mod must not change the sum
			if got := sums.Mod(j, p); got.Cmp(&want[j]) != 0 {
				t.Errorf("p of %d bits, %d rows, column %d: %x, want %x", p.BitLen(), rows, j, got, &want[j])
			}
		}
	}
}

// Without a carry, this number of maximum terms overflows the columns.
func TestSumsDoNotOverflow(t *testing.T) {
	heartbeattest.EachKernel(t, Kernels, func(t *testing.T) {
		const rounds = 3*maxTerms + 5
		ones := bytes.Repeat([]byte{0xff}, laneCount*numberSize)
		sums := NewSums(1, numberSize, numberSize)
		for range rounds {
			sums.Add(ones, ones)
		}
		want := number(ones[:numberSize])
		want.Mul(want, want)
		want.Mul(want, big.NewInt(laneCount*rounds))
		beyond := new(big.Int).Lsh(big.NewInt(1), 4096)
		if got := sums.Mod(0, beyond); got.Cmp(want) != 0 {
			t.Errorf("%x, want %x", got, want)
		}
	})
}

func TestDot(t *testing.T) {
	heartbeattest.EachKernel(t, Kernels, func(t *testing.T) {
		random := rand.New(rand.NewPCG(3, 4))
		for _, p := range moduli() {
			for _, sectors := range []int{1, 2, 10, maxTerms, maxTerms + 1} {
				for _, rows := range []int{0, 1, 7, 8, 9} {
					testDot(t, random, p, sectors, rows, p.BitLen()/8)
				}
			}
		}
	})
}

func testDot(t *testing.T, random *rand.Rand, p *big.Int, sectors, rows, bSize int) {
	t.Helper()
	a := make([]*big.Int, sectors)
	for j := range a {
		a[j] = new(big.Int).Mod(number(edgeCase(random, p, sizeOf(p))), p)
	}
	var z, b, want []byte
	for range rows {
		sum := number(edgeCase(random, p, sizeOf(p)))
		sum.Mod(sum, p)
		z = append(z, sum.FillBytes(make([]byte, sizeOf(p)))...)
		for j := range a {
			b = append(b, edgeCase(random, p, bSize)...)
			sum.Add(sum, new(big.Int).Mul(a[j], number(b[len(b)-bSize:])))
		}
		want = append(want, sum.Mod(sum, p).FillBytes(make([]byte, sizeOf(p)))...)
	}
	NewDot(p, a, bSize).Add(z, b)
	if !bytes.Equal(z, want) {
		t.Errorf("p of %d bits, %d sectors, %d rows: %x, want %x", p.BitLen(), sectors, rows, z, want)
	}
}

// The test reduces the largest sums that reduce accepts. It also reduces sums whose
// quotient is p or 2p, so that reduce must subtract p once or twice. For example, p
// + d*R becomes p + d, because reduce adds (R-1)*p to make the lower half zero.
func TestReduce(t *testing.T) {
	t.Parallel()
	if Kernels.Available()[0] != kernel.IFMA {
		return // only the IFMA kernel has this function
	}
	one := big.NewInt(1)
	for _, p := range moduli()[:3] {
		below := new(big.Int).Sub(p, one)
		r := new(big.Int).Lsh(one, rBits)
		largest := new(big.Int).Lsh(p, 1024)
		largest.Mul(largest, big.NewInt(maxTerms))
		for _, z := range []*big.Int{new(big.Int), one, below} {
			for _, sum := range []*big.Int{
				new(big.Int), one, p, below, new(big.Int).Add(p, r), new(big.Int).Add(p, new(big.Int).Lsh(r, 900)), largest,
			} {
				testReduce(t, p, z, sum)
			}
		}
	}
}

func testReduce(t *testing.T, p, z, sum *big.Int) {
	t.Helper()
	var in columns
	rest := new(big.Int).Set(sum)
	for i := range in {
		limb := new(big.Int).And(rest, big.NewInt(limbMask)).Uint64()
		in[i] = [laneCount]uint64{0: limb, 3: limb, 7: limb}
		rest.Rsh(rest, limbBits)
	}
	b := make([]byte, laneCount*numberSize)
	for k := range laneCount {
		z.FillBytes(b[k*numberSize:][:numberSize])
	}
	reduce(&b[0], numberSize, 0b10001001, &in, newModulus(p))

	inverse := new(big.Int).ModInverse(new(big.Int).Lsh(big.NewInt(1), rBits), p)
	want := inverse.Mul(inverse, sum)
	want.Add(want, z).Mod(want, p)
	for k := range laneCount {
		w := want
		if k != 0 && k != 3 && k != 7 {
			w = z // the lane is not in the mask, so its number must not change
		}
		if got := number(b[k*numberSize:][:numberSize]); got.Cmp(w) != 0 {
			t.Errorf("p %x, z %x, sum %x, lane %d: %x, want %x", p, z, sum, k, got, w)
		}
	}
}

func FuzzKernels(f *testing.F) {
	f.Add([]byte{1}, []byte{2}, []byte{3}, uint8(1))
	f.Add([]byte{0xff}, []byte{0xff}, bytes.Repeat([]byte{0xff}, numberSize), uint8(11))
	f.Fuzz(func(t *testing.T, a, b, modulus []byte, rows uint8) {
		const sectors = 3
		count := int(rows % 20)
		p := number(modulus[:min(len(modulus), numberSize)])
		p.SetBit(p, 0, 1).SetBit(p, 8*numberSize-1, 1)
		z := reduced(stretch(a, count), p)
		a, b = stretch(a, count), stretch(b, count*sectors)
		coefficients := make([]*big.Int, sectors)
		for j := range coefficients {
			coefficients[j] = new(big.Int).Mod(number(stretch(modulus, j+1)[j:]), p)
		}
		var sums, dots []string
		for _, k := range Kernels.Available() {
			restore := Kernels.Use(k)
			s := NewSums(sectors, numberSize, numberSize)
			s.Add(a, b)
			sums = append(sums, fmt.Sprintf("%x %x %x", s.Mod(0, p), s.Mod(1, p), s.Mod(2, p)))
			out := bytes.Clone(z)
			NewDot(p, coefficients, numberSize).Add(out, b)
			dots = append(dots, fmt.Sprintf("%x", out))
			restore()
		}
		for i := range sums {
			if sums[i] != sums[0] || dots[i] != dots[0] {
				t.Errorf("sums %s and %s, dots %s and %s", sums[0], sums[i], dots[0], dots[i])
			}
		}
	})
}

// stretch repeats b until it has the size of count numbers.
func stretch(b []byte, count int) []byte {
	if len(b) == 0 {
		b = []byte{0}
	}
	return bytes.Repeat(b, count*numberSize/len(b)+1)[:count*numberSize]
}

// reduced reduces each number in b modulo p.
func reduced(b []byte, p *big.Int) []byte {
	for at := 0; at < len(b); at += numberSize {
		n := number(b[at:][:numberSize])
		n.Mod(n, p).FillBytes(b[at:][:numberSize])
	}
	return b
}

// The benchmarks report the time of one chunk of 10 sectors, as ns/block.

func BenchmarkBigMul1024(b *testing.B) {
	x, y := number(randomNumbers(1)), number(randomNumbers(1))
	var z big.Int
	for b.Loop() {
		z.Mul(x, y)
	}
	perBlock(b, 1)
}

func BenchmarkSums(b *testing.B) {
	heartbeattest.EachKernel(b, Kernels, func(b *testing.B) {
		const rows = 64
		v, f := randomNumbers(rows), randomNumbers(rows)
		sums := NewSums(1, numberSize, numberSize)
		for b.Loop() {
			sums.Add(v, f)
		}
		perBlock(b, rows)
	})
}

func BenchmarkDot(b *testing.B) {
	heartbeattest.EachKernel(b, Kernels, func(b *testing.B) {
		const rows, sectors = 64, 10
		p := new(big.Int).SetBit(number(randomNumbers(1)), 1023, 1)
		p.SetBit(p, 0, 1)
		a := make([]*big.Int, sectors)
		for j := range a {
			a[j] = number(randomNumbers(1))
			a[j].Mod(a[j], p)
		}
		z, data := reduced(randomNumbers(rows), p), randomNumbers(rows*sectors)
		dot := NewDot(p, a, numberSize)
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			dot.Add(z, data)
		}
		perBlock(b, rows)
	})
}

func randomNumbers(count int) []byte {
	b := make([]byte, count*numberSize)
	cryptorand.Read(b)
	return b
}

func perBlock(b *testing.B, blocks int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*blocks), "ns/block")
}
