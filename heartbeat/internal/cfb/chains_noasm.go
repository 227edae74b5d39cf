//go:build !amd64 || purego

package cfb

func (c *Chains) whole(r request) { c.wholeGeneric(r) }
