package store

import (
	"net/netip"
	"strconv"
	"strings"
)

// network is the IP addresses that the limits for each IP address count together:
// one IPv4 address, or the IPv6 addresses with a common prefix.
type network struct {
	name        string // the key of its row in ips, which is only a lock
	first, last string // as storedIP writes them
}

// networkOf returns the network of an IP address. bits is the length of the common
// prefix of IPv6 addresses; 0 means that each address is a separate network.
func networkOf(ip string, bits int) network {
	addr, err := netip.ParseAddr(ip)
	if err != nil || !addr.Unmap().Is6() || bits <= 0 || bits >= addr.BitLen() {
		ip = storedIP(ip)
		return network{ip, ip, ip}
	}
	prefix := netip.PrefixFrom(addr.WithZone(""), bits).Masked()
	last := prefix.Addr().As16()
	for bit := bits; bit < addr.BitLen(); bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	first := prefix.Addr().StringExpanded()
	return network{first + "/" + strconv.Itoa(bits), first, netip.AddrFrom16(last).StringExpanded()}
}

// networkNamed returns the network whose lock has this name.
func networkNamed(name string) network {
	first, length, _ := strings.Cut(name, "/")
	bits, _ := strconv.Atoi(length) // a name without a length has the whole address
	n := networkOf(first, bits)
	n.name = name
	return n
}

// storedIP returns the text of an IP address in the column tokens.ip. IPv6 addresses
// have their full length there, so that a network is a range of the column's index.
// Older versions wrote the short form. Such a row does not count in its network
// until the next hand-out to its token.
func storedIP(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	return addr.Unmap().WithZone("").StringExpanded()
}

// shownIP returns the usual text of an IP address in the column tokens.ip.
func shownIP(stored string) string {
	addr, err := netip.ParseAddr(stored)
	if err != nil {
		return stored
	}
	return addr.String()
}
