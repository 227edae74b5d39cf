package cli

// heapFloor is how much a process allocates between two garbage collections at
// least. A process that lives on few megabytes would else collect after every
// few megabytes, many times a second under load, and a tenth of its processor
// time and more is spent on that.
const heapFloor = 64 << 20

// heap is never touched, and so takes no memory: all that it does is to be
// reckoned with when the collector decides how far the heap may grow.
var heap []byte

func raiseHeap() { heap = make([]byte, heapFloor) }
