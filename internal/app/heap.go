package app

import "sync"

// heapFloor is the least that a process allocates between two garbage
// collections, in bytes. Without it, a process with a few live megabytes would
// collect after every few megabytes.
//
// Measured with 5 MB live and 20 kB of small objects for each operation: 23
// collections and 4.6 s of processor time, against 237 and 5.4 s without it.
// GOGC=400 takes as little time, but then a large heap grows to five times what
// is live; this adds a constant.
const heapFloor = 64 << 20

// raiseHeap allocates memory that is never touched, so the operating system
// backs it with no pages. The garbage collector counts it as live when it decides
// how far the heap may grow.
var raiseHeap = sync.OnceValue(func() []byte { return make([]byte, heapFloor) })
