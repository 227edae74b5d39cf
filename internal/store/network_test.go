package store

import (
	"testing"

	"github.com/driveshare/downstream-node/internal/node"
)

func TestNetworkOf(t *testing.T) {
	t.Parallel()
	const full = "2001:0db8:0001:0002:"
	for name, c := range map[string]struct {
		ip   string
		bits int
		want network
	}{
		"IPv4":                 {"192.0.2.1", 64, network{"192.0.2.1", "192.0.2.1", "192.0.2.1"}},
		"IPv4 written as IPv6": {"::ffff:192.0.2.1", 64, network{"192.0.2.1", "192.0.2.1", "192.0.2.1"}},
		"IPv6 by 64 bits": {"2001:db8:1:2::5", 64, network{
			full + "0000:0000:0000:0000/64",
			full + "0000:0000:0000:0000", full + "ffff:ffff:ffff:ffff",
		}},
		"IPv6 by 60 bits": {"2001:db8:1:2::5", 60, network{
			"2001:0db8:0001:0000:0000:0000:0000:0000/60",
			"2001:0db8:0001:0000:0000:0000:0000:0000", "2001:0db8:0001:000f:ffff:ffff:ffff:ffff",
		}},
		"IPv6 by 33 bits": {"2001:db8:9001::5", 33, network{
			"2001:0db8:8000:0000:0000:0000:0000:0000/33",
			"2001:0db8:8000:0000:0000:0000:0000:0000", "2001:0db8:ffff:ffff:ffff:ffff:ffff:ffff",
		}},
		"the whole address": {"2001:db8:1:2::5", 128, network{
			full + "0000:0000:0000:0005",
			full + "0000:0000:0000:0005", full + "0000:0000:0000:0005",
		}},
		"no bits": {"2001:db8:1:2::5", 0, network{
			full + "0000:0000:0000:0005",
			full + "0000:0000:0000:0005", full + "0000:0000:0000:0005",
		}},
		"a zone":         {"fe80::1%eth0", 0, network{"fe80:0000:0000:0000:0000:0000:0000:0001", "fe80:0000:0000:0000:0000:0000:0000:0001", "fe80:0000:0000:0000:0000:0000:0000:0001"}},
		"not an address": {"invalid IP", 64, network{"invalid IP", "invalid IP", "invalid IP"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := networkOf(c.ip, c.bits)
			if got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
			if again := networkNamed(got.name); again != got {
				t.Errorf("its name means %+v", again)
			}
			if len(got.name) > 45 {
				t.Errorf("%q is longer than its column", got.name)
			}
		})
	}
}

// The limits of tokens and the lock of a network count all addresses of a prefix.
func TestTokensPerNetwork(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		create := func(ip string) error {
			return f.CreateToken(t.Context(), NewToken{Hash: node.NewToken().Hash(), Address: "address", IP: ip, KeyID: f.key},
				TokenLimits{TokensPerIP: 2, IPv6Prefix: 64}, start)
		}
		for _, c := range []struct {
			ip   string
			want error
		}{
			{"2001:db8:1:2::1", nil},
			{"2001:db8:1:2:ffff:ffff:ffff:ffff", nil},
			{"2001:db8:1:2:3::", ErrTooManyTokens},
			{"2001:db8:1:2::", ErrTooManyTokens},
			{"2001:db8:1:3::1", nil},
			{"2001:db8:1:1:ffff::1", nil},
			{"2001:db8:1::1", nil},
			{"192.0.2.1", nil},
			{"192.0.2.1", nil},
			{"192.0.2.1", ErrTooManyTokens},
			{"192.0.2.2", nil},
		} {
			if err := create(c.ip); c.want == nil {
				must(t, err)
			} else {
				wantErr(t, err, c.want)
			}
		}
		pruned, err := f.PruneIPs(t.Context())
		must(t, err)
		if pruned != 0 {
			t.Errorf("%d locks of networks with tokens are pruned", pruned)
		}
	})
}

// A farmer's IP address reads the same, whatever the table holds.
func TestIPOfAToken(t *testing.T) {
	onEach(t, func(t *testing.T, f *fixture) {
		const ip = "2001:db8:1:2::5"
		token := f.token(t, "address")
		f.move(t, &token, ip, nil)
		for _, stored := range []string{"2001:0db8:0001:0002:0000:0000:0000:0005", ip} {
			must(t, f.write.Exec("UPDATE tokens SET ip = ?", stored).Error)
			token, err := f.Token(t.Context(), token.Hash)
			must(t, err)
			if farmer := f.farmer(t, token, start); token.IP != ip || farmer.IP != ip {
				t.Errorf("%q reads as %q and %q", stored, token.IP, farmer.IP)
			}
		}
		// A hand-out writes the form that counts in its network.
		_, err := f.HandOut(t.Context(), token, 1, HandOutLimits{Contracts: 1}, interval, start)
		must(t, err)
		f.contracts(t, token, start, 1)
		if n := f.count(t, "tokens", "ip = ?", "2001:0db8:0001:0002:0000:0000:0000:0005"); n != 1 {
			t.Error("the short form of an older version stays")
		}
	})
}
