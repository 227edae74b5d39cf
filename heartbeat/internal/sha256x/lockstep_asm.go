//go:build amd64 && !purego

package sha256x

// run is whole blocks to be taken into a state.
type run struct {
	state *[8]uint32
	data  []byte
}

// each does n runs that do not depend on each other.
func each(n int, get func(i int) run) {
	i := 0
	lockstep(func(int) run {
		if i == n {
			return run{}
		}
		i++
		return get(i - 1)
	})
}

// lockstep does the runs that next hands out for each lane, one after the
// other, and those of all lanes side by side, until next hands out runs of no
// data for all. When it asks for the next one of a lane, the last is done.
func lockstep(next func(lane int) run) {
	var (
		state states
		lanes [Lanes]run
		data  [Lanes]*byte
	)
	for {
		least := 0 // bytes of the shortest run
		var some *byte
		for i := range lanes {
			lane := &lanes[i]
			if len(lane.data) == 0 {
				if lane.state != nil {
					getLane(&state, i, lane.state)
				}
				if *lane = next(i); len(lane.data) == 0 {
					lane.state = nil
					data[i] = nil
					continue
				}
				setLane(&state, i, lane.state)
			}
			data[i] = &lane.data[0]
			some = data[i]
			if least == 0 || len(lane.data) < least {
				least = len(lane.data)
			}
		}
		if some == nil {
			return
		}
		for i := range lanes {
			if data[i] == nil {
				data[i] = some // what the idle lane makes of it is forgotten
				continue
			}
			lanes[i].data = lanes[i].data[least:]
		}
		blocks(&state, &data, least/BlockSize)
	}
}
