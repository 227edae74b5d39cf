// Command probe tries every second whether the addresses in its arguments accept
// connections. It prints a line for each second, with "open" or "closed" for each address in
// their order. The tests of network policies run it in pods, because a policy does not apply
// to connections from a pod's own machine.
package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

func main() {
	for {
		results := make([]string, len(os.Args)-1)
		var wg sync.WaitGroup
		for i, address := range os.Args[1:] {
			wg.Go(func() {
				results[i] = "closed"
				if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
					results[i] = "open"
					_ = conn.Close()
				}
			})
		}
		wg.Wait()
		fmt.Println(strings.Join(results, " "))
		time.Sleep(time.Second)
	}
}
