package main

import (
	"strconv"
	"sync"
	"time"

	"github.com/driveshare/downstream-node/internal/testenv"
	"github.com/driveshare/downstream-node/test/deployment"
)

// The chunks of the end-to-end figures. Small ones: what is measured is the
// node's way with a request. Those that are handed out with the clock running
// have tags as by default; to the others a smaller one gives all that they need.
const (
	handOutSize  = 1 << 10
	answerSize   = 2 << 10
	handOutCount = 2000
)

// pass is one measurement of answered proofs.
type pass struct {
	name    string
	swizzle bool
	proofs  int
	batch   int // proofs in a request
	farmers int // with a request under way each, and a token
	old     float64
}

var passes = []pass{
	{name: "answered proofs, one a request", proofs: handOutCount, batch: 1, farmers: 50},
	{name: "answered proofs, 100 a request", proofs: 6000, batch: 100, farmers: 10},
	{name: "answered proofs, 1000 a request", proofs: 12000, batch: 1000, farmers: 4, old: 2700},
	{name: "answered Swizzle proofs, 1000 a request", proofs: 2000, batch: 1000, farmers: 2, swizzle: true},
}

// nodeFigures measures one API replica and one worker.
func nodeFigures(p *program, profiles string) []figure {
	p.Log("building the node and filling its inventory")
	binary, err := deployment.Build(p.TempDir())
	if err != nil {
		p.Fatal(err)
	}
	n := deployment.Start(p, binary, testenv.Durable, deployment.Settings{
		"contracts.tokensPerIP":         "1000",
		"contracts.contractsPerRequest": "1000",
		"worker.duties.stock":           "false",
		"api.pprof":                     "true",
		"worker.pprof":                  "true",
	})
	stock(p, n)
	apis := map[bool]*deployment.Replica{false: n.API(p, nil), true: n.API(p, n.SwizzleFirst())}
	worker := n.Worker(p, nil)

	handOut, holders := measureHandOut(p, apis[false].URL, passes[0])
	figures := []figure{handOut}
	for i, pass := range passes {
		if i > 0 {
			holders = takeAll(p, apis[pass.swizzle].URL, pass)
		}
		p.Logf("measuring %s", pass.name)
		prove(p, holders)
		profiling := startProfiles(p, profiles, i, apis[pass.swizzle], worker)
		figures = append(figures, measureAnswers(p, holders, pass))
		profiling()
	}
	return figures
}

// stock fills the inventory with what all passes need.
func stock(p *program, n *deployment.Node) {
	merkle, swizzle := 0, 0
	for _, pass := range passes[1:] {
		if pass.swizzle {
			swizzle += pass.proofs
		} else {
			merkle += pass.proofs
		}
	}
	small := deployment.Settings{"heartbeat.challenges": "4"}
	generate := func(own deployment.Settings, size, count int) {
		n.Run(p, own, "chunks", "generate", strconv.Itoa(size), strconv.Itoa(count))
	}
	start := time.Now()
	var generating sync.WaitGroup
	generating.Go(func() { generate(nil, handOutSize, handOutCount) })
	for range 4 { // together, they share the disk's time
		generating.Go(func() { generate(small, answerSize, merkle/4) })
	}
	generating.Go(func() { generate(n.SwizzleFirst(), answerSize, swizzle) })
	generating.Wait()
	p.Logf("%d chunks in %v", merkle+swizzle+handOutCount, time.Since(start).Round(time.Second))
}
