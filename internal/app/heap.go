package app

import "sync"

// heapFloor is how much a process allocates between two garbage collections at
// least. A process that lives on few megabytes would else collect after every
// few megabytes, many times a second under load, and spend a tenth of its
// processor time and more on that.
const heapFloor = 64 << 20

// raiseHeap keeps memory that is never touched, and so is none: all that it
// does is to be reckoned with when it is decided how far the heap may grow.
var raiseHeap = sync.OnceValue(func() []byte { return make([]byte, heapFloor) })
